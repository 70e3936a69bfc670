package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/api/admin"
	chatapi "github.com/carnetproject/carnet/internal/api/chat"
	"github.com/carnetproject/carnet/internal/api/kong"
	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/web"
)

// ServeOptions is what serving needs besides the core.
type ServeOptions struct {
	ConfigPath string                         // watched for changes; "": there is no file
	Reload     func() (*config.Config, error) // reads the configuration again
	Hangup     <-chan struct{}                // each receive reloads, as SIGHUP does; nil: never
	Ready      func()                         // called once, when all listeners are open
	Demo       *web.Demo                      // nil: no demo page
	DemoKore   http.Handler                   // the demo's page for Kore's web SDK; nil: none
}

// Server is a node that serves: its listeners are open, and [Server.Run] serves them.
type Server struct {
	core       *Core
	opts       ServeOptions
	metrics    *observe.Metrics
	traces     *observe.Traces // nil where nothing is recorded
	health     *observe.Health
	gateway    *gateway.Gateway // nil where the admit door is closed
	catalog    *kong.Catalog    // what the file and the store say of the gateway
	carrier    *carrier         // nil where the carry door is
	connectors *connectors
	broker     *authprofile.Broker // nil where there are no conversations
	posts      posts
	push       *chatapi.Push // likewise
	reload     *reloader
	cert       *httpx.Cert // nil without TLS
	listeners  []listener  // the operator's is the last
}

// listener is where one door is.
type listener struct {
	*httpx.Server
	door, scheme string
}

// NewServer composes the doors that the configuration opens and opens their
// listeners. Call it in [Core.Run].
func NewServer(ctx context.Context, core *Core, o ServeOptions) (s *Server, err error) {
	c := core.Config
	if err := core.Revocations.Follow(ctx); err != nil {
		return nil, err
	}
	s = &Server{core: core, opts: o, metrics: observe.NewMetrics()}
	s.metrics.Revocations(core.Revocations.Len)
	s.metrics.Endings(core.endings().ending, core.endings().overdue)
	core.Secrets.Observe(s.metrics.SecretSought)
	s.metrics.Audit(core.Audit)
	if s.traces, err = s.newTraces(); err != nil {
		return nil, err
	}
	if s.connectors, err = newConnectors(core, s.metrics); err != nil {
		return nil, err
	}
	s.health = observe.NewHealth(core.log, core.checks()...)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if c.TLS.Cert != "" {
		if s.cert, err = httpx.LoadCert(c.TLS.Cert, c.TLS.Key, core.log); err != nil {
			return s, fault.Wrap(fault.Invalid, "tls: certificate cannot be used", err)
		}
	}
	if doors := s.publicDoors(); len(doors) > 0 {
		h, err := s.publicHandler(ctx)
		if err != nil {
			return s, err
		}
		if err := s.listen(strings.Join(doors, "+"), "listen.public", c.Listen.Public, httpx.ServerConfig{Handler: h, Cert: s.cert, ReadTimeout: readTimeout}); err != nil {
			return s, err
		}
	}
	if slices.Contains(c.Doors, config.Admit) {
		if s.gateway, err = s.admitDoor(ctx); err != nil {
			return s, err
		}
	}
	s.catalog = core.catalog(s.gateway)
	if err := s.catalog.Load(ctx); err != nil {
		return s, err
	}
	if s.gateway != nil {
		if err := s.listen("admit", "listen.gateway", c.Listen.Gateway, httpx.ServerConfig{Handler: s.guard(s.traces.Handler("admit", s.gateway)), Cert: s.cert}); err != nil {
			return s, err
		}
	}
	inForce := *c
	s.reload = &reloader{
		path: o.ConfigPath, load: o.Reload, apply: s.applyFile, observe: s.metrics.Reload, record: core.reloaded, log: core.log, running: running{&inForce},
	}
	s.reload.seen, _ = s.reload.sum()
	h, err := s.operatorDoor()
	if err != nil {
		return s, err
	}
	if config.OnLoopback(c.Listen.Admin) {
		h = httpx.LoopbackHost(h)
	}
	return s, s.listen("admin", "listen.admin", c.Listen.Admin, httpx.ServerConfig{Handler: httpx.SafeHeaders(h), ReadTimeout: readTimeout})
}

// readTimeout is for a whole request to a handler of our own; the gateway streams.
const readTimeout = 30 * time.Second

// listen opens the listener of a door at addr, which the configuration has as field.
func (s *Server) listen(door, field, addr string, c httpx.ServerConfig) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fault.Wrap(fault.Unavailable, field+": cannot listen on "+addr+" (is another node running?)", err)
	}
	scheme := "http"
	if c.Cert != nil {
		scheme = "https"
	}
	c.Listener, c.Grace, c.Log = l, s.core.Config.ShutdownGrace.Std(), s.core.log
	s.listeners = append(s.listeners, listener{httpx.NewServer(c), door, scheme})
	return nil
}

// close closes the listeners of a server that never ran.
func (s *Server) close() (err error) {
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	for _, l := range s.listeners {
		err = errors.Join(err, l.Run(stopped))
	}
	return err
}

// guard is what stands before every handler of a public listener.
func (s *Server) guard(h http.Handler) http.Handler {
	if s.core.Config.RequireHTTPS {
		h = httpx.RequireHTTPS(s.core.Config.TrustedProxies)(h)
	}
	return h
}

// publicDoors are those that share the public listener.
func (s *Server) publicDoors() []string {
	return slices.DeleteFunc(slices.Clone(s.core.Config.Doors), func(d string) bool { return d == config.Admit })
}

// publicHandler serves the doors of the public listener, and what belongs to them.
func (s *Server) publicHandler(ctx context.Context) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/", httpx.Handler(httpx.NotFound))
	if s.core.signs() {
		if err := s.issueDoor(mux); err != nil {
			return nil, err
		}
	}
	if slices.Contains(s.core.Config.Doors, config.Carry) {
		var err error
		if s.carrier, err = s.carryDoor(ctx, mux); err != nil {
			return nil, err
		}
	}
	return s.guard(httpx.SafeHeaders(s.traces.Handler("public", s.metrics.Handler("public", s.carrier.wrap(mux))))), nil
}

// operatorDoor is the listener of those who run the node.
func (s *Server) operatorDoor() (http.Handler, error) {
	c := s.core.Config
	adminSecret, err := readOrMake(filepath.Join(c.Data, "admin.secret"), func() string { return randomText(keyBytes) })
	if err != nil {
		return nil, err
	}
	sets := make([]key.SetName, 0, len(c.Keys))
	for name := range c.Keys {
		sets = append(sets, name)
	}
	slices.Sort(sets)
	mux := http.NewServeMux()
	mux.Handle("/", s.kongAPI(adminSecret))
	admin.New(admin.Config{Secret: adminSecret, Sets: sets, Keys: s.core.Keys, Reload: s.reload.ReloadByAdmin, Revocations: s.core.Revocations, Audit: s.core.Audit, ClientAddr: httpx.ClientAddr(c.TrustedProxies), Clock: s.core.now}).Mount(mux)
	door := http.NewServeMux()
	s.health.Mount(door) // beside the traces, which would fill with what looks at the node all the time
	door.Handle("GET /metrics", s.metrics.Exposition())
	door.Handle("/", s.traces.Handler("admin", mux))
	return door, nil
}

// keysChanged tells the gateway that key sets have changed.
func (s *Server) keysChanged() {
	if s.gateway == nil {
		return
	}
	if err := s.gateway.SetsChanged(); err != nil {
		s.core.log.Error("the gateway keeps the keys that it had", slog.Any("err", err))
	}
}
