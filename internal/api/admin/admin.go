// Package admin is Carnet's own Admin API under /carnet/v1: what an operator's tools
// do over HTTP instead of the command line. It belongs on the operator's listener.
package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/secret"
)

// keys is the part of the key ring that operators turn.
type keys interface {
	List(set key.SetName) []key.Key
	Rotate(ctx context.Context, set key.SetName, o key.RotateOptions) error
	Revoke(ctx context.Context, kid string) error
}

// Config requires all members but Audit, which needs ClientAddr, and Clock.
type Config struct {
	Secret      secret.Bytes // what callers show as their bearer token
	Sets        []key.SetName
	Keys        keys
	Revocations revocations
	Reload      func(ctx context.Context) error // reads the configuration again
	Audit       *audit.Log                      // of what is changed; nil: none
	ClientAddr  func(*http.Request) netip.Addr
	Clock       func() time.Time
}

// Handler serves the API.
type Handler struct{ c Config }

// New returns the API's handler.
func New(c Config) *Handler {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Handler{c}
}

// Mount adds the API to mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	for pattern, f := range map[string]httpx.Handler{
		"GET /carnet/v1/keysets":                    h.list,
		"POST /carnet/v1/keysets/{set}/rotate":      h.rotate,
		"POST /carnet/v1/keysets/{set}/revoke/{id}": h.revoke,
		"POST /carnet/v1/reload":                    h.reload,
		"GET /carnet/v1/revocations":                h.revocations,
		"POST /carnet/v1/revocations":               h.addRevocation,
		"DELETE /carnet/v1/revocations/{id}":        h.removeRevocation,
	} {
		mux.Handle(pattern, h.authenticated(f))
	}
}

// authenticated asks for the admin secret. Without it nothing is told, not even
// whether the path exists further down. An empty secret lets nobody in.
func (h *Handler) authenticated(next httpx.Handler) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if h.c.Secret.Len() == 0 || !h.c.Secret.Equal(secret.FromString(httpx.Bearer(r))) {
			return fault.New(fault.Unauthenticated, "show the admin secret as a bearer token")
		}
		w.Header().Set("Cache-Control", "no-store")
		return next(w, r)
	}
}

// keyView is a key as the API shows it. Times that are not set are left out.
type keyView struct {
	ID        string         `json:"kid"`
	Algorithm jose.Algorithm `json:"alg"`
	State     string         `json:"state"`
	Created   time.Time      `json:"created"`
	Active    time.Time      `json:"active,omitzero"`
	Retire    time.Time      `json:"retire,omitzero"`
	Expire    time.Time      `json:"expire,omitzero"`
	Revoked   time.Time      `json:"revoked,omitzero"`
}

func (h *Handler) list(w http.ResponseWriter, _ *http.Request) error {
	now := h.c.Clock()
	sets := map[key.SetName][]keyView{}
	for _, name := range h.c.Sets {
		sets[name] = []keyView{}
		for _, k := range h.c.Keys.List(name) {
			sets[name] = append(sets[name], keyView{
				k.Public.ID(), k.Public.Algorithm(), k.State(now).String(),
				k.Created, k.Active, k.Retire, k.Expire, k.Revoked,
			})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(sets)
}

func (h *Handler) rotate(w http.ResponseWriter, r *http.Request) error {
	set, err := h.set(r)
	if err != nil {
		return err
	}
	now := r.URL.Query().Get("now")
	if now != "" && now != "true" {
		return fault.BadField("now", `must be "true" or left out`)
	}
	err = h.c.Keys.Rotate(r.Context(), set, key.RotateOptions{Now: now == "true"})
	if err := h.record(r, err, audit.Entry{Action: audit.KeyRotate, Object: string(set)}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	set, err := h.set(r)
	if err != nil {
		return err
	}
	for _, k := range h.c.Keys.List(set) {
		if k.Public.ID() == r.PathValue("id") {
			err := h.c.Keys.Revoke(r.Context(), k.Public.ID())
			if err := h.record(r, err, audit.Entry{Action: audit.KeyRevoke, Object: k.Public.ID()}); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return fault.Newf(fault.NotFound, "key set %s has no key of that id", set)
}

// record writes into the audit log what was done, if err, which is that of doing it, is nil.
func (h *Handler) record(r *http.Request, err error, e audit.Entry) error {
	if err != nil || h.c.Audit == nil {
		return err
	}
	e.Actor = audit.Actor{Kind: audit.Admin, Name: "carnet"}
	return h.c.Audit.Record(r.Context(), e, h.c.ClientAddr(r))
}

func (h *Handler) reload(w http.ResponseWriter, r *http.Request) error {
	if err := h.c.Reload(r.Context()); err != nil {
		return fault.Newf(fault.Invalid, "configuration not reloaded, the old one stays: %v", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// set is the key set that the path names.
func (h *Handler) set(r *http.Request) (key.SetName, error) {
	for _, name := range h.c.Sets {
		if string(name) == r.PathValue("set") {
			return name, nil
		}
	}
	return "", fault.New(fault.NotFound, "there is no key set of that name")
}
