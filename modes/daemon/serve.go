package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
)

// Scope is how much a shutdown takes down.
type Scope string

// The scopes.
const (
	// ScopeSelf ends this daemon alone, for a restart: what it forwards goes on
	// and its successor takes it up.
	ScopeSelf Scope = "self"
	// ScopeAll ends what this daemon started too.
	ScopeAll Scope = "all"
)

// ShutdownPath is the route that ends a daemon, by POST of a [Shutdown].
const ShutdownPath = "/v1/shutdown"

// RetirePath is the route that ends a worker which has nothing to do, by POST. One
// that has answers 409 and goes on.
const RetirePath = "/v1/retire"

// Shutdown is the body of a POST to [ShutdownPath].
type Shutdown struct {
	Scope Scope `json:"scope"`
}

// Signal is the cause of a context that a signal ended.
type Signal struct{ os.Signal }

// Error names the signal.
func (s Signal) Error() string { return "got signal " + s.String() }

// Stopping is the answer to a POST to [ShutdownPath]: the daemon ends.
type Stopping struct {
	Stopping bool   `json:"stopping"`
	Warning  string `json:"warning,omitempty"` // what is lost by it
}

// Stopper waits for somebody to ask for the daemon's end: over HTTP, by a
// signal, or from inside.
type Stopper struct {
	// May is asked before it ends over HTTP: what it would be a pity to lose, or why
	// it must not end so. nil is neither.
	May func(context.Context, Scope) (warning string, err error)

	asked chan Scope
}

// NewStopper returns a Stopper that nobody has asked yet.
func NewStopper() *Stopper { return &Stopper{asked: make(chan Scope, 1)} }

// Ask asks for the end. Only the first one counts.
func (s *Stopper) Ask(scope Scope) {
	select {
	case s.asked <- scope:
	default:
	}
}

// ServeHTTP answers POST [ShutdownPath] with 202 and asks for the end.
func (s *Stopper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body Shutdown
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body); err != nil ||
		(body.Scope != ScopeSelf && body.Scope != ScopeAll) {
		refuse(w, ops.Invalid("scope", `must be "self" or "all"`))
		return
	}
	answer := Stopping{Stopping: true}
	if s.May != nil {
		var err error
		if answer.Warning, err = s.May(r.Context(), body.Scope); err != nil {
			refuse(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(answer) // who asked may be gone
	s.Ask(body.Scope)
}

// refuse answers with err.
func refuse(w http.ResponseWriter, err error) {
	e := ops.AsError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(e)
}

// Wait returns when the end was asked for. A context that ended by SIGTERM or
// SIGHUP asks with the scope onTerm; by Ctrl-C or otherwise, with ScopeAll.
func (s *Stopper) Wait(ctx context.Context, onTerm Scope) Scope {
	select {
	case scope := <-s.asked:
		return scope
	case <-ctx.Done():
		if sig, ok := errors.AsType[Signal](context.Cause(ctx)); ok && (sig.Signal == syscall.SIGTERM || sig.Signal == syscall.SIGHUP) {
			return onTerm
		}
		return ScopeAll
	}
}

// grace is how long requests may take to end once the daemon is to stop.
const grace = 2 * time.Second

// unused is how long a connection is kept that nobody uses. Clients of ours give
// theirs up earlier.
const unused = 3 * time.Minute

// complaints is where the HTTP server's own words go. What a stranger does wrong
// in a handshake must not fill the log.
type complaints struct{ zerolog.Logger }

// Write takes one line.
func (c complaints) Write(line []byte) (int, error) {
	text, level := strings.TrimSpace(string(line)), zerolog.WarnLevel
	if strings.Contains(text, "TLS handshake error") {
		level = zerolog.DebugLevel
	}
	c.WithLevel(level).Msg(text)
	return len(line), nil
}

// Listen starts to serve h on l, tells whoever started this daemon, and returns at
// once. The function it returns ends the service, waits for it and gives its error.
func Listen(ctx context.Context, l net.Listener, h http.Handler, logger zerolog.Logger) (stop func() error) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       unused,
		ErrorLog:          log.New(complaints{logger}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	announce()
	return func() error {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := server.Shutdown(bounded); err != nil { // a reader that will not leave
			if err := server.Close(); err != nil {
				return fmt.Errorf("close the listener: %w", err)
			}
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	}
}
