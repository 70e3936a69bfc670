//go:build !linux && !darwin

package cli

// terminal is never known to be there.
func (s *shell) terminal() (fd int, ok bool) { return 0, false }

// hush can do nothing: a terminal shows what is typed.
func (s *shell) hush() (show func()) { return func() {} }
