package consumer

import (
	"testing"

	"github.com/carnetproject/carnet"
)

func TestSet(t *testing.T) {
	t.Parallel()
	who, guest := New("u", "", nil), New("guest", "", nil)
	device := NewCredential(who, "mobilev2", Material{Keys: []*carnet.Key{publicKey(t, "k")}, Named: true}, nil)
	legacy := NewCredential(who, "legacy", Material{Keys: []*carnet.Key{secretKey(t)}}, nil)
	s, err := NewSet([]*Consumer{who, guest}, []*Credential{device, legacy})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key    string
		found  *Credential
		prefix bool
	}{
		"asymmetric": {"mobilev2", device, true},
		"symmetric":  {"legacy", legacy, false},
		"nobody":     {"x", nil, false},
		"other case": {"Legacy", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := s.Find(tc.key); got != tc.found {
				t.Errorf("Find = %v", got)
			}
			if err := s.CheckPrefix(tc.key); (err == nil) != tc.prefix {
				t.Errorf("CheckPrefix = %v", err)
			}
		})
	}
	for name, want := range map[string]*Consumer{"u": who, who.ID: who, "guest": guest, guest.ID: guest, "U": nil, "": nil} {
		if got := s.Consumer(name); got != want {
			t.Errorf("Consumer(%q) = %v, want %v", name, got, want)
		}
	}
	if _, err := NewSet(nil, []*Credential{legacy, NewCredential(New("v", "", nil), "legacy", Material{}, nil)}); err == nil {
		t.Error("two credentials with one key were taken")
	}
}

// Who calls himself by another's id does not become the other.
func TestNamesWinOverIDs(t *testing.T) {
	t.Parallel()
	victim := New("victim", "", nil)
	thief := New(victim.ID, "", nil)
	for name, order := range map[string][]*Consumer{"before": {thief, victim}, "after": {victim, thief}} {
		s, err := NewSet(order, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Consumer("victim") != victim || s.Consumer(victim.ID) != thief {
			t.Errorf("%s: %v, %v", name, s.Consumer("victim"), s.Consumer(victim.ID))
		}
	}
}

func TestSigner(t *testing.T) {
	t.Parallel()
	a, b := New("a", "", nil), New("b", "", nil)
	k1, k2, shared, secret := publicKey(t, "k1"), publicKey(t, "k2"), publicKey(t, "shared"), secretKey(t)
	first := NewCredential(a, "first", Material{Keys: []*carnet.Key{k1, k2, shared}, Named: true}, nil)
	second := NewCredential(b, "second", Material{Keys: []*carnet.Key{shared}, Named: true}, nil)
	unnamed := NewCredential(b, "unnamed", Material{Keys: []*carnet.Key{publicKey(t, "unnamed-kid")}}, nil)
	legacy := NewCredential(b, "legacy", Material{Keys: []*carnet.Key{secret}, Named: true}, nil)
	s, err := NewSet(nil, []*Credential{first, second, unnamed, legacy})
	if err != nil {
		t.Fatal(err)
	}
	for kid, want := range map[string]*Credential{
		"k1": first, "k2": first,
		"shared":      nil, // whose would it be?
		"unnamed-kid": nil, // nobody agreed on it
		"first":       nil, // a key is no kid
		"":            nil,
	} {
		if got := s.Signer(kid); got != want {
			t.Errorf("Signer(%q) = %v, want %v", kid, got, want)
		}
	}
}
