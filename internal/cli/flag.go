package cli

import (
	"fmt"
	"net/netip"
	"reflect"

	"github.com/alecthomas/kong"
)

// readers are how flags that are no plain text are read. They say what would be right, which
// Go's own errors do not.
func readers() []kong.Option {
	return []kong.Option{
		reader("a time such as 2026-06-01T12:00:00Z, or a date such as 2026-06-01", at),
		reader("a duration such as 30d or 12h", span),
		reader("a network such as 10.0.0.0/8, or 10.1.2.3/32 for one address", netip.ParsePrefix),
	}
}

// reader reads values of one type, which are one word each, and must be want.
func reader[T any](want string, read func(string) (T, error)) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(c *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := c.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		value, err := read(text)
		if err != nil {
			return fmt.Errorf("must be %s, not %q", want, text)
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}))
}
