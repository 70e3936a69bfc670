package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
)

// Role is something that a user may do, and where.
type Role struct {
	Name  string          `json:"role"`
	Scope json.RawMessage `json:"scope"` // a list, as the learner service has it
}

// public is the role that everybody has.
var public = Role{"PUBLIC", json.RawMessage("[]")}

// Profile is what the learner service tells of a user.
type Profile struct {
	Roles []Role
	Name  string
}

// withPublic has PUBLIC among the roles, and the name only of those who have more.
func (p Profile) withPublic() Profile {
	out := Profile{Name: p.Name}
	known := false
	for _, r := range p.Roles {
		known = known || strings.EqualFold(r.Name, public.Name)
		out.Roles = append(out.Roles, r)
	}
	if !known {
		out.Roles = append(out.Roles, public)
	}
	if len(out.Roles) == 1 {
		out.Name = ""
	}
	return out
}

// LearnerConfig requires URL.
type LearnerConfig struct {
	URL       string            // of Sunbird's learner service, without the path below
	Token     secret.Bytes      // shown to it as bearer; may be empty
	Transport http.RoundTripper // nil: one of its own
}

// The bounds of a question to the learner service. Each refresh waits for one.
const (
	learnerTimeout     = 3 * time.Second
	learnerConnections = 32
	learnerBody        = 64 << 10
	learnerRoles       = 64
)

// Learner is Sunbird's learner service, which knows users' roles. It is safe for
// concurrent use.
type Learner struct {
	base   string
	token  secret.Bytes
	client *http.Client
}

// NewLearner checks the configuration. It asks nothing yet.
func NewLearner(c LearnerConfig) (*Learner, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("the learner service must be an http or https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of the learner service must have no credentials, query or fragment")
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: learnerTimeout}).DialContext,
			TLSHandshakeTimeout: learnerTimeout, IdleConnTimeout: time.Minute,
			MaxConnsPerHost: learnerConnections, MaxIdleConnsPerHost: learnerConnections,
		}
	}
	return &Learner{strings.TrimSuffix(c.URL, "/"), c.Token, &http.Client{
		Transport: c.Transport, Timeout: learnerTimeout,
		// The token is for this service and for nobody that it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Roles asks for the user's roles.
func (l *Learner) Roles(ctx context.Context, user string) (Profile, error) {
	if user == "" || user == "." || user == ".." {
		return Profile{}, errors.New("the user id cannot be part of a path")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+"/user/v1/role/read/"+url.PathEscape(user), nil)
	if err != nil {
		return Profile{}, err
	}
	req.Header.Set("Accept", "application/json")
	if l.token.Len() > 0 {
		req.Header.Set("Authorization", "Bearer "+string(l.token.Reveal()))
	}
	resp, err := l.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // which has no URL, and so no user
		}
		return Profile{}, fmt.Errorf("ask the learner service: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return Profile{}, fmt.Errorf("the learner service answers %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, learnerBody+1))
	if err != nil {
		return Profile{}, fmt.Errorf("read the learner service's answer: %w", err)
	}
	if len(body) > learnerBody {
		return Profile{}, fmt.Errorf("the learner service's answer is longer than %d bytes", learnerBody)
	}
	return parseProfile(body)
}

// parseProfile reads the answer. What it says besides is not looked at.
func parseProfile(body []byte) (Profile, error) {
	var answer struct {
		Result struct {
			Name  string `json:"name"`
			Roles []struct {
				Role  string            `json:"role"`
				Scope []json.RawMessage `json:"scope"`
			} `json:"roles"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Profile{}, fmt.Errorf("the learner service's answer: %w", err)
	}
	if n := len(answer.Result.Roles); n > learnerRoles {
		return Profile{}, fmt.Errorf("the learner service names %d roles of one user: at most %d fit a token", n, learnerRoles)
	}
	p := Profile{Name: answer.Result.Name}
	for _, r := range answer.Result.Roles {
		if r.Role == "" {
			return Profile{}, errors.New("the learner service names a role without a name")
		}
		scope := public.Scope
		if len(r.Scope) > 0 {
			var err error
			if scope, err = json.Marshal(r.Scope); err != nil {
				return Profile{}, fmt.Errorf("the learner service's answer: %w", err)
			}
		}
		p.Roles = append(p.Roles, Role{r.Role, scope})
	}
	return p, nil
}
