package socket

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		there []string
		next  string
		want  fault.Kind
	}{
		"first":                    {nil, "192.0.2.1", 0},
		"second of an address":     {[]string{"192.0.2.1"}, "192.0.2.1", 0},
		"third of an address":      {[]string{"192.0.2.1", "192.0.2.1"}, "192.0.2.1", fault.Limited},
		"the same in IPv6":         {[]string{"192.0.2.1", "::ffff:192.0.2.1"}, "192.0.2.1", fault.Limited},
		"third of a /64":           {[]string{"2001:db8::1", "2001:db8::2"}, "2001:db8::3", fault.Limited},
		"of the /64 beside it":     {[]string{"2001:db8::1", "2001:db8::2"}, "2001:db8:0:1::3", 0},
		"of nobody knows where":    {[]string{"", ""}, "", fault.Limited},
		"one too many for the set": {[]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, "192.0.2.4", fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewSet[*int](3, 2)
			for _, a := range tc.there {
				if err := s.Admit(addr(a)); err != nil {
					t.Fatalf("Admit(%s) = %v", a, err)
				}
			}
			err := s.Admit(addr(tc.next))
			if (err == nil) != (tc.want == 0) || err != nil && fault.KindOf(err) != tc.want {
				t.Errorf("Admit(%s) = %v, want kind %v", tc.next, err, tc.want)
			}
			if e := fault.Public(err); err != nil && e.RetryAfter != RetryConnect {
				t.Errorf("to try again after %v", e.RetryAfter)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	s, a := NewSet[*int](1, 1), addr("192.0.2.1")
	for range 3 {
		if err := s.Admit(a); err != nil {
			t.Fatal(err)
		}
		s.Leave(a, nil)
	}
	if s.Len() != 0 || len(s.addrs) != 0 {
		t.Errorf("%d connections left, of %d addresses", s.Len(), len(s.addrs))
	}
}

// TestWhile counts a connection for as long as a function runs, whatever comes of it.
func TestWhile(t *testing.T) {
	t.Parallel()
	s, a, failed := NewSet[string](10, 1), addr("192.0.2.1"), errors.New("failed")
	for range 2 {
		if err := s.While(a, func() error {
			if err := s.While(a, func() error { return nil }); fault.KindOf(err) != fault.Limited {
				t.Errorf("a second one: %v, want a limit", err)
			}
			return failed
		}); !errors.Is(err, failed) {
			t.Errorf("While() = %v, want what the function returns", err)
		}
	}
	if s.Len() != 0 {
		t.Errorf("%d connections left", s.Len())
	}
}

// TestShutdown: who goes when told is waited for, who stays is cut, and who comes too
// late is told, too.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, a := NewSet[string](10, 10), addr("192.0.2.1")
		for range 3 {
			if err := s.Admit(a); err != nil {
				t.Fatal(err)
			}
		}
		s.Enter("goes")
		s.Enter("stays")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var told, cut []string
		done := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(done)
			s.Shutdown(ctx, func(c string) { told = append(told, c) }, func(c string) {
				cut = append(cut, c)
				go s.Leave(a, c)
			})
		}()
		synctest.Wait()
		if len(told) != 2 {
			t.Errorf("told %v, want both", told)
		}
		if s.Enter("late") {
			t.Error("a connection stays that nobody tells to go")
		}
		if err := s.Admit(a); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("Admit() = %v, want unavailable", err)
		}
		s.Leave(a, "goes")
		s.Leave(a, "late")
		<-done
		if len(cut) != 1 || cut[0] != "stays" || time.Since(began) != time.Second {
			t.Errorf("cut %v after %v, want the one that stays after a second", cut, time.Since(began))
		}
		if s.Len() != 0 {
			t.Errorf("%d connections left", s.Len())
		}
	})
}
