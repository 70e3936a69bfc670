package kong

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// problem is a refusal in Kong's words.
type problem struct {
	status  int
	code    int // Kong's number; 0: the message stands alone
	name    string
	message string
	fields  map[string]any
}

func (p *problem) Error() string { return p.message }

// Kong's numbers of errors (kong/db/errors.lua).
const (
	codeSchema        = 2
	codeForeign       = 4
	codeUnique        = 5
	codeInvalidOffset = 7
	codeInvalidSize   = 9
	codeOptions       = 11
	codeUnsupported   = 12
)

func plain(status int, message string) *problem { return &problem{status: status, message: message} }

var (
	errNotFound  = plain(http.StatusNotFound, "Not found")
	errMethod    = plain(http.StatusMethodNotAllowed, "Method not allowed")
	errMediaType = plain(http.StatusUnsupportedMediaType, "Unsupported media type")
	errJSON      = plain(http.StatusBadRequest, "Cannot parse JSON body")
	errForm      = plain(http.StatusBadRequest, "Cannot parse form body")
)

// violation says which members break their schema.
func violation(wrong fields) *problem {
	list := wrong.list()
	message := fmt.Sprintf("%d schema violations (%s)", len(list), strings.Join(list, "; "))
	if len(list) == 1 {
		message = "schema violation (" + list[0] + ")"
	}
	return &problem{http.StatusBadRequest, codeSchema, "schema violation", message, wrong}
}

// unique says that an entity with these members is there already.
func unique(members Document) *problem {
	return &problem{
		http.StatusConflict, codeUnique, "unique constraint violation",
		"UNIQUE violation detected on '" + pretty(members) + "'", members,
	}
}

// dangling says that a foreign member names nothing that exists.
func dangling(name, kind string, to Document) *problem {
	return &problem{
		http.StatusBadRequest, codeForeign, "foreign key violation",
		fmt.Sprintf("the foreign key '%s' does not reference an existing '%s' entity.", pretty(to), kind),
		Document{name: to},
	}
}

// referenced says that an entity cannot go while others name it.
func referenced(parent, child string) *problem {
	return &problem{
		http.StatusBadRequest, codeForeign, "foreign key violation",
		fmt.Sprintf("an existing '%s' entity references this '%s' entity", child, parent),
		Document{"@referenced_by": child},
	}
}

// fixed says that an entity of the configuration file cannot be changed from here.
func fixed(kind, name, file string) *problem {
	return &problem{
		status: http.StatusConflict, code: codeUnsupported, name: "operation unsupported",
		message: fmt.Sprintf("%s %q stands in the configuration file %s: change it there", kind, name, file),
	}
}

// pretty writes members as Kong's messages do: {key="k"}.
func pretty(d Document) string {
	parts := make([]string, 0, len(d))
	for _, name := range names(d) {
		switch v := d[name].(type) {
		case Document:
			parts = append(parts, name+"="+pretty(v))
		case nil:
			parts = append(parts, name+"=null")
		case string:
			parts = append(parts, name+"="+strconv.Quote(v))
		default:
			parts = append(parts, fmt.Sprintf("%s=%v", name, v))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// problemOf is what the caller is told of err.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	public := fault.Public(err)
	switch public.Kind {
	case fault.NotFound:
		return errNotFound
	case fault.Internal:
		return plain(http.StatusInternalServerError, "An unexpected error occurred")
	case fault.Invalid:
		if public.Field != "" {
			return violation(fields{public.Field: public.Msg})
		}
	default:
	}
	return plain(public.Kind.Status(), public.Msg)
}
