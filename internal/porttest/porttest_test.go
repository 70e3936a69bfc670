package porttest

import (
	"net"
	"sync"
	"testing"
)

func TestFree(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	had := map[string]bool{}
	for range 4 {
		wg.Go(func() {
			for range 50 {
				addr, err := Free()
				if err != nil {
					t.Error(err)
					return
				}
				l, err := net.Listen("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.Close()
				mu.Lock()
				if had[addr] {
					t.Errorf("%s was given twice", addr)
				}
				had[addr] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
