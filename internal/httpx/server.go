package httpx

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The bounds of every connection. A request's body may take any time by default as
// long as it moves, since the gateway streams; see [ServerConfig.ReadTimeout].
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
	maxStreams     = 128 // concurrent requests of one HTTP/2 connection
	defaultGrace   = 10 * time.Second
)

// ServerConfig requires Listener and Handler; every other zero value is safe.
type ServerConfig struct {
	Listener    net.Listener // the server closes it
	Handler     http.Handler
	Cert        *Cert         // nil: plain HTTP
	ReadTimeout time.Duration // for a whole request; zero: none, for streams
	BodyPause   time.Duration // how long an answer may stand still, and without ReadTimeout a body; zero: 1 min
	Grace       time.Duration // how long requests may take to finish at a stop; zero: 10 s
	Log         *slog.Logger  // nil: slog.Default()
}

// Server serves one listener.
type Server struct {
	http     http.Server
	listener net.Listener
	cert     *Cert
	grace    time.Duration
	log      *slog.Logger
}

// NewServer returns a server that [Server.Run] runs.
func NewServer(c ServerConfig) *Server {
	s := &Server{listener: c.Listener, cert: c.Cert, grace: c.Grace, log: c.Log}
	if s.grace == 0 {
		s.grace = defaultGrace
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	handler, pause := reportPanics(s.log, c.Handler), cmp.Or(c.BodyPause, bodyPause)
	if c.ReadTimeout == 0 {
		handler = limitBodies(pause, handler)
	}
	handler = limitAnswers(pause, handler)
	s.http = http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       c.ReadTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.cert != nil {
		s.http.TLSConfig = &tls.Config{GetCertificate: s.cert.GetCertificate, MinVersion: tls.VersionTLS12}
	}
	return s
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then takes no more connections and gives running
// requests the grace to finish; what is left is cut off. A connection that a
// handler has hijacked is the handler's to close. It returns nil after a stop,
// even one that had to cut.
func (s *Server) Run(ctx context.Context) error {
	requests := WithLog(context.WithoutCancel(ctx), s.log)
	s.http.BaseContext = func(net.Listener) context.Context { return requests }
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if err := s.http.Shutdown(stop); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "requests cut off at stop",
			slog.String("listener", s.Addr().String()), slog.Duration("grace", s.grace))
		_ = s.http.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	}
	return nil
}

func (s *Server) serve() error {
	if s.cert != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}
