//go:build linux || darwin

package cli

import (
	"context"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// terminal tells whether standard input is one, and which file that is.
func (s *shell) terminal() (fd int, ok bool) {
	file, ok := s.In.(*os.File)
	if !ok {
		return 0, false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), getTerminal)
	return int(file.Fd()), err == nil
}

// hush keeps a terminal at standard input from showing what is typed until show is
// called, or the command is to stop.
func (s *shell) hush() (show func()) {
	fd, ok := s.terminal()
	if !ok {
		return func() {}
	}
	before, err := unix.IoctlGetTermios(fd, getTerminal)
	if err != nil {
		return func() {}
	}
	silent := *before
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ECHONL
	_ = unix.IoctlSetTermios(fd, setTerminal, &silent) // one that cannot shows what is typed
	restore := sync.OnceFunc(func() { _ = unix.IoctlSetTermios(fd, setTerminal, before) })
	leave := context.AfterFunc(s.ctx, restore)
	return func() {
		leave()
		restore()
	}
}
