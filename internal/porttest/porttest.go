// Package porttest gives tests ports of the loopback for servers that come and go.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// Ports lie below those that connections get for themselves, so that none takes one while
// its server is away. Each process of a test run has a block, by its id.
const (
	first  = 10000
	blocks = 8
	size   = 2750
)

// taken are the ports that this process was given. None is given twice: a server that is
// about to start, or to start again, does not hold its own.
var taken sync.Map

// Free returns host:port of a port that nobody has.
func Free() (addr string, err error) {
	for range 10 * size {
		port := first + os.Getpid()%blocks*size + rand.IntN(size)
		if _, had := taken.LoadOrStore(port, true); had {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}
