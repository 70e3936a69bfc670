package revocation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := ByToken; k < numKinds; k++ {
		text, err := k.MarshalText()
		var back Kind
		if err != nil || back.UnmarshalText(text) != nil || back != k || seen[string(text)] || len(text) == 0 {
			t.Errorf("kind %d is written %q and read as %d", k, text, back)
		}
		seen[string(text)] = true
	}
	for _, text := range []string{"", "Token", "kid", "Kind(9)"} {
		var k Kind
		if err := k.UnmarshalText([]byte(text)); fault.KindOf(err) != fault.Invalid || k != 0 {
			t.Errorf("%q is read as %d, error %v", text, k, err)
		}
	}
	if got := Kind(200).String(); got != "Kind(200)" || Kind(200).Dated() {
		t.Errorf("an unknown kind is %s", got)
	}
}

func TestWrongDrafts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit  func(*Draft)
		field string
	}{
		"no kind":                 {func(d *Draft) { d.Kind = 0 }, "kind"},
		"unknown kind":            {func(d *Draft) { d.Kind = numKinds }, "kind"},
		"no name":                 {func(d *Draft) { d.Name = "" }, "name"},
		"long name":               {func(d *Draft) { d.Name = strings.Repeat("x", maxName+1) }, "name"},
		"name with a line":        {func(d *Draft) { d.Name = "a\nb" }, "name"},
		"broken name":             {func(d *Draft) { d.Name = "\xff" }, "name"},
		"no issuer":               {func(d *Draft) { d.Issuer = "" }, "issuer"},
		"issuer of an app":        {func(d *Draft) { d.Kind = ByApp }, "issuer"},
		"prefix with a hyphen":    {func(d *Draft) { d.Kind, d.Issuer = ByDevice, "mobile-v2" }, "issuer"},
		"moment of a token":       {func(d *Draft) { d.Target = Target{Kind: ByToken, Name: "x"}; d.Before = noon }, "issued_before"},
		"moment of a key":         {func(d *Draft) { d.Target = Target{Kind: ByKey, Name: "x"}; d.Before = noon }, "issued_before"},
		"moment in the future":    {func(d *Draft) { d.Before = noon.Add(maxAhead + 1) }, "issued_before"},
		"end in the past":         {func(d *Draft) { d.Expires = noon }, "expires"},
		"an end and none":         {func(d *Draft) { d.Expires, d.Forever = noon.Add(1), true }, "expires"},
		"long reason":             {func(d *Draft) { d.Reason = strings.Repeat("x", maxReason+1) }, "reason"},
		"reason that moves about": {func(d *Draft) { d.Reason = "\x1b[2J" }, "reason"},
		"long author":             {func(d *Draft) { d.By = strings.Repeat("x", maxBy+1) }, "by"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			d := Draft{Target: Target{Kind: BySubject, Issuer: "i", Name: "s"}, Before: noon.Add(maxAhead), Expires: noon.Add(1)}
			if err := d.validate(noon); err != nil {
				t.Fatalf("the draft is refused before it is edited: %v", err)
			}
			tc.edit(&d)
			_, err := f.Add(t.Context(), d)
			if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Invalid || e.Field != tc.field {
				t.Errorf("Add() error = %v, want one of the field %s", err, tc.field)
			}
			if f.Len() != 0 || len(f.store.entries) != 0 {
				t.Error("it was added all the same")
			}
		})
	}
}

func TestInForce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		entry Entry
		want  bool
	}{
		"no end":                 {Entry{}, true},
		"before the end":         {Entry{Expires: noon.Add(1)}, true},
		"at the end":             {Entry{Expires: noon}, false},
		"removed":                {Entry{Removed: true}, false},
		"removed, not forgotten": {Entry{Removed: true, Expires: noon.Add(time.Hour)}, false},
	} {
		if got := tc.entry.InForce(noon); got != tc.want {
			t.Errorf("%s: InForce() = %t", name, got)
		}
	}
}
