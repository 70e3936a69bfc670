package secretstore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// The ways to log in to a Vault.
const (
	LoginToken      = "token"
	LoginAppRole    = "approle"
	LoginKubernetes = "kubernetes"
)

// tendEvery is how often a login is looked after. Its lease is minutes at least.
const tendEvery = 15 * time.Second

// session is a login. It is not changed.
type session struct {
	token     secret.Bytes
	renewable bool      // by itself; else by another login
	due       time.Time // when it should be renewed; zero: never
}

// lease is what Vault says of a token, when it makes, renews or shows it.
type lease struct {
	Token     string `json:"client_token"`
	Seconds   int64  `json:"lease_duration"`
	TTL       int64  `json:"ttl"` // in place of lease_duration, where a token is shown
	Renewable bool   `json:"renewable"`
}

// vaultError is why a Vault refused, for the log.
type vaultError struct {
	status int
	text   string
}

func (e *vaultError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("status %d: %s", e.status, e.text), ": ")
}

// enter returns the session, after a login or a renewal if one is due. Many callers at
// once share one.
func (v *vault) enter(ctx context.Context) (*session, error) {
	s := v.session.Load()
	if s != nil && (s.due.IsZero() || v.clock().Before(s.due)) {
		return s, nil
	}
	got, err, _ := v.logins.Do("", func() (any, error) {
		if now := v.session.Load(); now != s {
			if now != nil {
				return now, nil
			}
			s = nil // refused meanwhile
		}
		next, err := v.renew(ctx, s)
		if next == nil && err == nil {
			next, err = v.login(ctx)
		}
		if err == nil {
			v.session.Store(next)
		}
		return next, err
	})
	if err != nil {
		return nil, err
	}
	return got.(*session), nil
}

// renew returns nil if only a login helps.
func (v *vault) renew(ctx context.Context, s *session) (*session, error) {
	if s == nil || !s.renewable {
		return nil, nil
	}
	status, body, err := v.call(ctx, http.MethodPost, "auth/token/renew-self", s.token, struct{}{})
	if err != nil || status != http.StatusOK {
		return nil, err
	}
	l, err := readLease(body)
	if err != nil {
		return nil, err
	}
	return v.sessionOf(s.token, l, s.renewable), nil
}

func (v *vault) login(ctx context.Context) (*session, error) {
	mount := v.LoginMount
	if mount == "" {
		mount = v.Login
	}
	in := map[string]string{}
	switch v.Login {
	case LoginToken:
		return v.showToken(ctx)
	case LoginAppRole:
		id, err := v.own(ctx)
		if err != nil {
			return nil, err
		}
		in["role_id"], in["secret_id"] = v.Role, string(id.Reveal())
	case LoginKubernetes:
		jwt, err := os.ReadFile(v.JWT) // anew each time: kubelet replaces it
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "secrets.vault.jwt cannot be read", err)
		}
		in["role"], in["jwt"] = v.Role, strings.TrimSpace(string(jwt))
	}
	status, body, err := v.call(ctx, http.MethodPost, "auth/"+mount+"/login", secret.Bytes{}, in)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, refusal("Vault refuses the login", status, body)
	}
	l, err := readLease(body)
	if err != nil {
		return nil, err
	}
	if l.Token == "" {
		return nil, fault.New(fault.Unavailable, "Vault's login has no token in it")
	}
	return v.sessionOf(secret.FromString(l.Token), l, false), nil // a login costs no more than a renewal, and has no end
}

// own is the secret that the login shows. Without it nobody knows what Vault has.
func (v *vault) own(ctx context.Context) (secret.Bytes, error) {
	s, err := v.local(ctx, v.Secret)
	if err != nil {
		err = fault.Wrap(fault.Unavailable, "the login to Vault has no secret to show", err)
	}
	return s, err
}

// showToken takes the configured token, and asks how long it lives.
func (v *vault) showToken(ctx context.Context) (*session, error) {
	token, err := v.own(ctx)
	if err != nil {
		return nil, err
	}
	status, body, err := v.call(ctx, http.MethodGet, "auth/token/lookup-self", token, nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, refusal("Vault refuses the token", status, body)
	}
	l, err := readLease(body)
	if err != nil {
		return nil, err
	}
	return v.sessionOf(token, l, l.Renewable), nil
}

// sessionOf plans the renewal for when two thirds of the lease are over. A lease of
// nothing has no end.
func (v *vault) sessionOf(token secret.Bytes, l lease, renewable bool) *session {
	s := &session{token: token, renewable: renewable}
	if l.Seconds > 0 {
		s.due = v.clock().Add(max(time.Duration(l.Seconds)*time.Second*2/3, tendEvery))
	}
	return s
}

// readLease finds the lease in "auth" of an answer, or where a token is shown in "data".
func readLease(body []byte) (lease, error) {
	var answer struct {
		Auth, Data *lease
	}
	err := json.Unmarshal(body, &answer)
	switch {
	case err != nil || answer.Auth == nil && answer.Data == nil:
		return lease{}, fault.New(fault.Unavailable, "Vault's answer to a login cannot be understood")
	case answer.Auth != nil:
		return *answer.Auth, nil
	}
	answer.Data.Seconds = answer.Data.TTL
	return *answer.Data, nil
}

// run renews the session, if there is one, as it is due.
func (v *vault) run(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if v.session.Load() == nil {
			continue
		}
		_, err := v.enter(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			log.LogAttrs(ctx, slog.LevelWarn, "the login to Vault cannot be renewed", slog.Any("err", err))
		}
		failing = err != nil
	}
}
