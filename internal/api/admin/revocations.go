package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/revocation"
)

// revocations is the list that operators change.
type revocations interface {
	Add(ctx context.Context, d revocation.Draft) (revocation.Entry, error)
	Remove(ctx context.Context, id int64) (revocation.Entry, error)
	Entries(ctx context.Context, k revocation.Kind, after int64, limit int) ([]revocation.Entry, error)
}

const (
	maxRevocation    = 16 << 10 // bytes of a request
	defaultPage      = 100
	maxPage          = 1000
	never            = "never" // the end of an entry that has none
	defaultRevokedBy = "admin api"
)

// revocationView is a revocation as the API shows it. Members that are not set are
// left out.
type revocationView struct {
	ID      int64           `json:"id"`
	Kind    revocation.Kind `json:"kind"`
	Issuer  string          `json:"issuer,omitempty"`
	Name    string          `json:"name"`
	Before  time.Time       `json:"issued_before,omitzero"`
	Expires string          `json:"expires"`
	Created time.Time       `json:"created"`
	Reason  string          `json:"reason,omitempty"`
	By      string          `json:"by,omitempty"`
}

func viewRevocation(e *revocation.Entry) revocationView {
	v := revocationView{e.ID, e.Kind, e.Issuer, e.Name, e.Before, never, e.Created, e.Reason, e.By}
	if !e.Expires.IsZero() {
		v.Expires = e.Expires.Format(time.RFC3339Nano)
	}
	return v
}

// revocationPage is some of the revocations in force, by growing id.
type revocationPage struct {
	Revocations []revocationView `json:"revocations"`
	More        bool             `json:"more"` // behind the last id
}

func (h *Handler) revocations(w http.ResponseWriter, r *http.Request) error {
	var kind revocation.Kind
	q := r.URL.Query()
	if name := q.Get("kind"); name != "" {
		if err := kind.UnmarshalText([]byte(name)); err != nil {
			return err
		}
	}
	after, err := whole("after", q.Get("after"), 0, 1<<53)
	if err != nil {
		return err
	}
	limit, err := whole("limit", q.Get("limit"), defaultPage, maxPage)
	if err != nil {
		return err
	}
	found, err := h.c.Revocations.Entries(r.Context(), kind, after, int(limit)+1)
	if err != nil {
		return err
	}
	p := revocationPage{Revocations: []revocationView{}, More: len(found) > int(limit)}
	for i := range found[:min(len(found), int(limit))] {
		p.Revocations = append(p.Revocations, viewRevocation(&found[i]))
	}
	httpx.WriteJSON(w, http.StatusOK, p)
	return nil
}

// whole reads a parameter that is a whole number from 1 to most; missing if it is "".
func whole(name, text string, missing, most int64) (int64, error) {
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, fault.BadField(name, fmt.Sprintf("must be a whole number from 1 to %d", most))
	}
	return n, nil
}

// revocationRequest asks for an entry. Times are RFC 3339.
type revocationRequest struct {
	Kind    string `json:"kind"`
	Issuer  string `json:"issuer"`
	Name    string `json:"name"`
	Before  string `json:"issued_before"` // "": now
	Expires string `json:"expires"`       // "": as long as such a token can live; or "never"
	Reason  string `json:"reason"`
	By      string `json:"by"`
}

func (r *revocationRequest) draft() (d revocation.Draft, err error) {
	d = revocation.Draft{Forever: r.Expires == never, Reason: r.Reason, By: r.By}
	d.Issuer, d.Name = r.Issuer, r.Name
	if d.By == "" {
		d.By = defaultRevokedBy
	}
	if err := d.Kind.UnmarshalText([]byte(r.Kind)); err != nil {
		return d, err
	}
	if r.Before != "" {
		if d.Before, err = time.Parse(time.RFC3339, r.Before); err != nil {
			return d, fault.BadField("issued_before", "must be a time such as 2026-06-01T12:00:00Z")
		}
	}
	if r.Expires != "" && !d.Forever {
		if d.Expires, err = time.Parse(time.RFC3339, r.Expires); err != nil {
			return d, fault.BadField("expires", "must be a time such as 2026-06-01T12:00:00Z, or never")
		}
	}
	return d, nil
}

func (h *Handler) addRevocation(w http.ResponseWriter, r *http.Request) error {
	var asked revocationRequest
	body, err := httpx.ReadBody(w, r, maxRevocation)
	if err != nil {
		return err
	}
	if err := httpx.DecodeStrictJSON(body, &asked); err != nil {
		return err
	}
	d, err := asked.draft()
	if err != nil {
		return err
	}
	e, err := h.c.Revocations.Add(r.Context(), d)
	err = h.record(r, err, audit.Entry{Action: audit.RevocationAdd, Object: d.Name, Details: map[audit.Detail]string{
		audit.Kind: d.Kind.String(), audit.Issuer: d.Issuer, audit.Reason: d.Reason, audit.By: d.By,
	}})
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("/carnet/v1/revocations/%d", e.ID))
	httpx.WriteJSON(w, http.StatusCreated, viewRevocation(&e))
	return nil
}

func (h *Handler) removeRevocation(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return fault.New(fault.NotFound, "there is no revocation of that id")
	}
	e, err := h.c.Revocations.Remove(r.Context(), id)
	err = h.record(r, err, audit.Entry{Action: audit.RevocationRemove, Object: e.Name, Details: map[audit.Detail]string{
		audit.Kind: e.Kind.String(), audit.Issuer: e.Issuer,
	}})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
