package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/limit"
)

// Duration is a [time.Duration] that may have no end. It is written "5s",
// "2160h" or "forever".
type Duration time.Duration

// Forever is longer than every other duration.
const Forever Duration = math.MaxInt64

// Std is d as the rest of the program counts; Forever is its longest duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText reads what [Duration.String] writes, and any Go duration.
func (d *Duration) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*d = Forever
		return nil
	}
	std, err := time.ParseDuration(string(text))
	*d = Duration(std)
	return err
}

// MarshalText is [Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String leaves out units that are zero: 15m, not 15m0s.
func (d Duration) String() string {
	if d == Forever {
		return "forever"
	}
	return formatDuration(d.Std())
}

func formatDuration(d time.Duration) string {
	for _, u := range []struct {
		unit   time.Duration
		suffix string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d != 0 && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.suffix
		}
	}
	return d.String()
}

// scalar is how the values of one type are written in one word.
type scalar struct {
	want    string // what a value must be, for error messages
	pattern string // JSON Schema's regular expression; empty: any
}

var scalars = map[reflect.Type]scalar{
	reflect.TypeFor[time.Duration]():  {"a duration such as 5s or 15m", `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`},
	reflect.TypeFor[Duration]():       {"a duration such as 5s or 2160h, or forever", `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$|^forever$`},
	reflect.TypeFor[limit.Rate]():     {"a rate such as 60/m (a count in each s, m or h), or none", `^[1-9][0-9]*/[smh]$|^none$`},
	reflect.TypeFor[netip.Prefix]():   {"a network such as 10.0.0.0/8", ""},
	reflect.TypeFor[gateway.Size]():   {"a size such as 64MiB", `^[0-9]+ *(B|KiB|MiB|GiB)?$`},
	reflect.TypeFor[gateway.Secret](): {"a string: an SRN or the secret itself", ""},
}

var secretType = reflect.TypeFor[gateway.Secret]()

// isScalar tells whether t is written in one word.
func isScalar(t reflect.Type) bool {
	if _, ok := scalars[t]; ok {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Float64:
		return true
	default:
		return false
	}
}

// hasShort tells whether one word may stand for a mapping of type t, whose
// UnmarshalText takes it.
func hasShort(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isScalar(t) && reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// want says what a value of type t must be.
func want(t reflect.Type) string {
	if s, ok := scalars[t]; ok {
		return s.want
	}
	if hasShort(t) {
		return "a name, or a mapping of keys to values"
	}
	if isListed(t) {
		return "a list of names (1 to 64 of a-z, 0-9, _ and -, each once), or a mapping of keys to values"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Pointer:
		return want(t.Elem())
	default:
		return "a mapping of keys to values"
	}
}

// parseScalar sets v, whose type isScalar, from its text. The error says what
// the value must be and does not repeat it, since it may be a secret.
func parseScalar(v reflect.Value, text string) error {
	var err error
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		*p, err = time.ParseDuration(text)
	case *netip.Prefix:
		*p, err = netip.ParsePrefix(text)
	case *limit.Rate:
		*p, err = limit.ParseRate(text)
	case encoding.TextUnmarshaler:
		err = p.UnmarshalText([]byte(text))
	default:
		err = parseKind(v, text)
	}
	if err != nil {
		return errors.New("must be " + want(v.Type()))
	}
	return nil
}

func parseKind(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return strconv.ErrSyntax
		}
		v.SetBool(text == "true")
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		v.SetFloat(n)
	default:
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(n))
	}
	return nil
}

// formatScalar is the text that parseScalar reads; secrets are redacted.
func formatScalar(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	default:
		return fmt.Sprint(x)
	}
}
