package authprofile

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
)

// wire is what requests go over.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

// TestNothingIsSentTwice: net/http sends a body again where it can have it anew, and a
// code is for one use.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	v := newProvider(&Profile{Client: "carnet", Token: "https://idp.example/token"}, egress.Guard{}, Config{Clock: time.Now})
	sent := 0
	v.http["idp.example"].Transport = wire(func(r *http.Request) (*http.Response, error) {
		sent++
		if r.Body == nil || r.GetBody != nil {
			t.Error("the code can be sent again")
		}
		return nil, errors.New("the line is dead")
	})
	if _, err := v.exchange(t.Context(), "code", "https://carnet.example/back", pending{}); !errors.Is(err, errAnswer) || sent != 1 {
		t.Errorf("exchange() = %v, sent %d times", err, sent)
	}
}
