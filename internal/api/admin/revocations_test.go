package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
)

// denylist notes what it is asked to add, and has entries with the ids 1 to n.
type denylist struct {
	added   []revocation.Draft
	removed []int64
	n       int64
}

func (l *denylist) Add(_ context.Context, d revocation.Draft) (revocation.Entry, error) {
	if d.Name == "" {
		return revocation.Entry{}, fault.BadField("name", "must be given")
	}
	l.added = append(l.added, d)
	return revocation.Entry{
		ID: 7, Target: d.Target, Before: d.Before, Expires: d.Expires, Created: noon, Reason: d.Reason, By: d.By,
	}, nil
}

func (l *denylist) Remove(_ context.Context, id int64) (revocation.Entry, error) {
	if id > l.n {
		return revocation.Entry{}, fault.Newf(fault.NotFound, "there is no revocation %d", id)
	}
	l.removed = append(l.removed, id)
	return revocation.Entry{ID: id}, nil
}

func (l *denylist) Entries(_ context.Context, k revocation.Kind, after int64, limit int) (found []revocation.Entry, _ error) {
	if k == 0 {
		k = revocation.ByToken
	}
	for id := after + 1; id <= l.n && len(found) < limit; id++ {
		found = append(found, revocation.Entry{ID: id, Target: revocation.Target{Kind: k, Name: fmt.Sprint("j", id)}, Created: noon})
	}
	return found, nil
}

func ask(t *testing.T, l *denylist, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	New(Config{Secret: secret.FromString("s"), Keys: &ring{}, Revocations: l}).Mount(mux)
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer s")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	return w
}

func TestAddRevocation(t *testing.T) {
	t.Parallel()
	hour := noon.Add(time.Hour)
	for name, tc := range map[string]struct {
		body, answer string
		want         revocation.Draft
	}{
		"least": {
			`{"kind":"token","name":"j1"}`,
			`{"id":7,"kind":"token","name":"j1","expires":"never","created":"2026-06-01T12:00:00Z","by":"admin api"}`,
			revocation.Draft{Target: revocation.Target{Kind: revocation.ByToken, Name: "j1"}, By: "admin api"},
		},
		"all": {
			`{"kind":"device","issuer":"mobilev2","name":"d-1","issued_before":"2026-06-01T12:00:00Z","expires":"2026-06-01T13:00:00Z","reason":"lost","by":"ann"}`,
			`{"id":7,"kind":"device","issuer":"mobilev2","name":"d-1","issued_before":"2026-06-01T12:00:00Z","expires":"2026-06-01T13:00:00Z","created":"2026-06-01T12:00:00Z","reason":"lost","by":"ann"}`,
			revocation.Draft{
				Target: revocation.Target{Kind: revocation.ByDevice, Issuer: "mobilev2", Name: "d-1"},
				Before: noon, Expires: hour, Reason: "lost", By: "ann",
			},
		},
		"for ever": {
			`{"kind":"key","name":"k1","expires":"never"}`,
			`{"id":7,"kind":"key","name":"k1","expires":"never","created":"2026-06-01T12:00:00Z","by":"admin api"}`,
			revocation.Draft{Target: revocation.Target{Kind: revocation.ByKey, Name: "k1"}, Forever: true, By: "admin api"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &denylist{}
			w := ask(t, l, "POST", "/carnet/v1/revocations", tc.body)
			if w.Code != http.StatusCreated || w.Body.String() != tc.answer {
				t.Errorf("answered %d:\n%s\nwant\n%s", w.Code, w.Body, tc.answer)
			}
			if got := w.Header().Get("Location"); got != "/carnet/v1/revocations/7" {
				t.Errorf("Location %q", got)
			}
			if diff := cmp.Diff([]revocation.Draft{tc.want}, l.added); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadRevocations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no body":           {"POST", "", "", 400, "JSON"},
		"no kind":           {"POST", "", `{"name":"x"}`, 400, "kind: must be token, subject"},
		"no name":           {"POST", "", `{"kind":"app"}`, 400, "name: must be given"},
		"unknown member":    {"POST", "", `{"kind":"app","name":"x","token":"eyJ"}`, 400, "token: is not a member"},
		"a number":          {"POST", "", `{"kind":"app","name":7}`, 400, "name: must be a string"},
		"bad moment":        {"POST", "", `{"kind":"app","name":"x","issued_before":"yesterday"}`, 400, "issued_before: must be a time"},
		"bad end":           {"POST", "", `{"kind":"app","name":"x","expires":"1h"}`, 400, "expires: must be a time"},
		"too long":          {"POST", "", `{"name":"` + strings.Repeat("x", maxRevocation) + `"}`, 413, "at most"},
		"list, bad kind":    {"GET", "?kind=jti", "", 400, "kind: must be"},
		"list, bad after":   {"GET", "?after=-1", "", 400, "after: must be a whole number"},
		"list, bad limit":   {"GET", "?limit=1001", "", 400, "limit: must be a whole number from 1 to 1000"},
		"remove unknown":    {"DELETE", "/9", "", 404, "there is no revocation 9"},
		"remove no number":  {"DELETE", "/x", "", 404, "no revocation"},
		"remove, a number?": {"DELETE", "/0", "", 404, "no revocation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &denylist{n: 3}
			w := ask(t, l, tc.method, "/carnet/v1/revocations"+tc.path, tc.body)
			var problem struct{ Field, Detail string }
			_ = json.Unmarshal(w.Body.Bytes(), &problem)
			if says := problem.Field + ": " + problem.Detail; w.Code != tc.status || !strings.Contains(says, tc.says) {
				t.Errorf("answered %d %q, want %d and %q", w.Code, says, tc.status, tc.says)
			}
			if len(l.added)+len(l.removed) > 0 {
				t.Error("something was changed")
			}
		})
	}
}

func TestListRevocations(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                           "token j1, token j2, token j3",
		"?limit=2":                   "token j1, token j2, more",
		"?limit=2&after=2":           "token j3",
		"?limit=3":                   "token j1, token j2, token j3",
		"?after=3":                   "",
		"?kind=credential&after=2":   "credential j3",
		"?kind=key&limit=1&after=1":  "key j2, more",
		"?after=9007199254740992":    "",
		"?limit=1000&kind=&after=1":  "token j2, token j3",
		"?limit=1&after=2&other=yes": "token j3",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			w := ask(t, &denylist{n: 3}, "GET", "/carnet/v1/revocations"+query, "")
			var page struct {
				Revocations []struct{ Kind, Name string }
				More        bool
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || page.Revocations == nil {
				t.Fatalf("answered %d %s: %v", w.Code, w.Body, err)
			}
			var got []string
			for _, r := range page.Revocations {
				got = append(got, r.Kind+" "+r.Name)
			}
			if page.More {
				got = append(got, "more")
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("listed %s, want %s", text, want)
			}
		})
	}
}

func TestRemoveRevocation(t *testing.T) {
	t.Parallel()
	l := &denylist{n: 3}
	if w := ask(t, l, "DELETE", "/carnet/v1/revocations/2", ""); w.Code != http.StatusNoContent {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
	if diff := cmp.Diff([]int64{2}, l.removed); diff != "" {
		t.Error(diff)
	}
}
