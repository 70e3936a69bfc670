// Package device serves Sunbird's device registration, versions 1 and 2, and its
// refresh of access tokens as adminutil does, byte for byte where clients look. It
// is meant to stand behind the gateway, whose rules say who may register; by itself
// it asks nobody.
package device

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
)

// registrar makes devices' tokens.
type registrar interface {
	Register(ctx context.Context, set key.SetName, deviceKey string) (string, error)
	RegisterLegacy(ctx context.Context, consumer, deviceKey string) (device.Credential, error)
}

// refresher makes access tokens of refresh tokens.
type refresher interface {
	Refresh(ctx context.Context, token string) (device.Refreshed, error)
}

// Config requires Registrar and ClientAddr.
type Config struct {
	Registrar registrar
	Refresher refresher         // nil: there is no refresh
	Moved     map[string]string // consumers of version 2 whose clients go to that URL instead

	// The route's own limit counts the credential that is embedded in the app, which
	// is one for all devices: these count each device, and each network.
	PerDevice, PerAddr *limit.Limiter // nil: no limit
	ClientAddr         func(*http.Request) netip.Addr

	Health func(context.Context) error // what version 1 needs; nil: nothing
	Clock  func() time.Time            // nil: time.Now
}

// Handler serves the registration.
type Handler struct{ c Config }

// New returns a handler; Mount says where it serves.
func New(c Config) *Handler {
	for _, l := range []**limit.Limiter{&c.PerDevice, &c.PerAddr} {
		if *l == nil {
			*l = limit.New(limit.Rate{}, 0)
		}
	}
	if c.Health == nil {
		c.Health = func(context.Context) error { return nil }
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Handler{c}
}

// Mount serves the public paths, those that the gateway has behind a proxy which takes
// "/api" off, and those of the service behind both.
func (h *Handler) Mount(mux *http.ServeMux) {
	for path, register := range map[string]http.HandlerFunc{
		"/v1/consumer/{consumer}/credential/register": h.register(h.first, nil),
		"/v2/consumer/{consumer}/credential/register": h.register(h.second, h.c.Moved),
	} {
		for _, base := range []string{"/api/api-manager", "/api-manager", ""} {
			mux.HandleFunc(base+path, register)
		}
	}
	if h.c.Refresher != nil {
		mux.HandleFunc("/v1/auth/refresh/token", h.refresh)
		mux.HandleFunc("/auth/v1/refresh/token", h.refresh)
	}
	mux.HandleFunc("/health", h.health)
	mux.HandleFunc("/service/health", h.serviceHealth)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.writeError(w, r, fault.New(fault.NotFound, "No message available"))
	})
}

// registration is what the versions do differently. The consumer is that of the path.
type registration func(ctx context.Context, consumer, deviceKey string) (result, error)

func (h *Handler) register(do registration, moved map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if ok, after := h.c.PerAddr.AllowAddr(h.c.ClientAddr(r), h.c.Clock()); !ok {
			h.writeFailure(w, r, request{Request: &requestKey{}}, tooMany(after))
			return
		}
		req, err := read(w, r)
		if err != nil {
			h.writeError(w, r, err)
			return
		}
		consumer, deviceKey := r.PathValue("consumer"), ""
		if to := moved[consumer]; to != "" {
			h.writeMoved(w, req, to)
			return
		}
		if req.Request != nil {
			deviceKey = req.Request.Key
		}
		if ok, after := h.c.PerDevice.Allow(deviceKey, h.c.Clock()); !ok {
			h.writeFailure(w, r, req, tooMany(after))
			return
		}
		res, err := do(r.Context(), consumer, deviceKey)
		if err != nil {
			h.writeFailure(w, r, req, err)
			return
		}
		res.Key = deviceKey
		h.writeResult(w, req, res)
	}
}

func tooMany(after time.Duration) error {
	return &fault.Error{Kind: fault.Limited, Msg: "too many registrations", RetryAfter: after}
}

// first gives the device a credential of its own.
func (h *Handler) first(ctx context.Context, consumer, deviceKey string) (result, error) {
	c, err := h.c.Registrar.RegisterLegacy(ctx, consumer, deviceKey)
	if err != nil {
		return result{}, err
	}
	return result{Secret: string(c.Secret.Reveal()), Token: c.Token}, nil
}

// second gives it a token of the key set that is called as the consumer.
func (h *Handler) second(ctx context.Context, consumer, deviceKey string) (result, error) {
	token, err := h.c.Registrar.Register(ctx, key.SetName(consumer), deviceKey)
	return result{Token: token}, err
}
