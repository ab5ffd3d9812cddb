package job

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
)

// Options configure a [Server] over the operations O.
type Options[O ops.Op] struct {
	// Mode (queen, hive, worker), Version and Build are told by /health.
	Mode, Version, Build string
	// Run does one operation. Its context carries the job as ops.Sink and ends
	// when the job is cancelled; its result becomes the result event.
	Run func(ctx context.Context, o O) (any, error)
	// Refuse, if set, is asked about each operation before it becomes a job, with its
	// caller in the context: an error is the answer, and nothing is begun. It is for
	// what is certain at once, as that what an operation names does not exist.
	Refuse func(ctx context.Context, o O) error
	// Dir is the folder of the jobs' logs; it is made if need be.
	Dir string
	// Token is the bearer token wanted on every route but /health; "" wants none.
	Token string
	// Admit, if set, says in place of Token who may use a route, which is its
	// method and pattern as "GET /v1/jobs/:id". What it returns goes to the
	// handler, with its Caller in the context (see [WithCaller]). An error that
	// is a [Refusal] has the status that it says.
	Admit func(r *http.Request, route string) (*http.Request, error)
	// Tell, if set, answers a refusal in other words than this package's, and
	// reports whether it has. The refusal's headers are set already.
	Tell func(w http.ResponseWriter, r *http.Request, refusal Refusal) bool
	// Hosts are values of the Host header to accept, without port, beside
	// localhost, 127.0.0.1, [::1] and the address that a connection came to.
	Hosts []string
	// Origins are those whose web pages may send requests and read the answers,
	// as https://app.example; the own one always may.
	Origins []string
	// HostHint and OriginHint are what to do about a Host that is none of those, and
	// about the pages of another origin; "" is that of a daemon which no page is for.
	HostHint, OriginHint string
	// Log is for operators.
	Log zerolog.Logger
	// Retain is how long a finished job is remembered; 0 means an hour.
	Retain time.Duration
	// MaxFinished is how many finished jobs are remembered; 0 means 1000.
	MaxFinished int
	// TailBytes is how much of a job's newest events is kept in memory; 0
	// means 64 KiB. Older ones are read from the job's file.
	TailBytes int
	// Heartbeat is how often a silent stream says something; 0 means 15 s.
	Heartbeat time.Duration
	// Again is the hint of jobs that this daemon's end cancels or refuses; "" is none.
	Again string
	// Settled, if set, is called once many jobs have run and none has for some
	// seconds, before memory is given back to the system.
	Settled func()
	// State, if set, is the state at this moment, for a daemon to which it is dear: it
	// is asked for when somebody comes to read it, and by [Server.Refresh].
	State func() any
	// WriteTimeout is how long a reader may take nothing before it is dropped;
	// 0 means 30 s.
	WriteTimeout time.Duration
}

func (o *Options[O]) setDefaults() {
	o.HostHint = or(o.HostHint, "send the Host localhost")
	o.OriginHint = or(o.OriginHint, "no page is served here: send no Origin")
	o.Retain = or(o.Retain, time.Hour)
	o.MaxFinished = or(o.MaxFinished, 1000)
	o.TailBytes = or(o.TailBytes, 64<<10)
	o.Heartbeat = or(o.Heartbeat, 15*time.Second)
	o.WriteTimeout = or(o.WriteTimeout, 30*time.Second)
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Server runs operations as jobs and tells of them over HTTP.
type Server[O ops.Op] struct {
	Options[O]
	echo    *echo.Echo
	known   map[string]bool // the routes, as Admit is asked about them
	state   feed
	watch   atomic.Int64 // how many read the state
	fresh   sync.Mutex   // held while State is asked and published, so that the newest comes last
	streams attendance
	spares  spares
	idle    idleness

	base    context.Context //nolint:containedctx // of all jobs; ends at Detach and Stop
	endBase context.CancelCauseFunc
	work    sync.WaitGroup  // running jobs
	open    context.Context //nolint:containedctx // ends when streams must end, whatever they wait for
	close   context.CancelFunc

	mu       sync.Mutex
	jobs     map[string]*job
	finished []*job      // those of jobs that have ended, oldest first
	lookups  int         // how many of those are lookups, see [ops.IsLookup]
	gone     atomic.Bool // no job is taken any more
}

// NewServer reads the folder of the jobs' logs: finished jobs are remembered,
// unfinished ones run again, with what their logs hold already. That may begin
// before NewServer returns.
func NewServer[O ops.Op](o Options[O]) (*Server[O], error) {
	o.setDefaults()
	if err := makeFolder(o.Dir); err != nil {
		return nil, fmt.Errorf("make the folder of the jobs' logs %s: %w", o.Dir, err)
	}
	s := &Server[O]{Options: o, jobs: map[string]*job{}}
	s.base, s.endBase = context.WithCancelCause(context.Background())
	s.open, s.close = context.WithCancel(context.Background())
	s.spares.dir = o.Dir
	s.idle.settle = s.settle
	s.state.changed = make(chan struct{})
	s.known = map[string]bool{}
	s.echo = s.routes()
	unfinished, err := s.restore()
	if err != nil {
		s.endBase(err)
		s.close()
		return nil, err
	}
	for _, j := range unfinished {
		s.resume(j)
	}
	s.spares.prepare(1)
	return s, nil
}

// makeFolder makes the folder if need be, and sees that it can be written to.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(path, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// submit starts o as a job. The same id with the same operation is the same
// job; with another operation, or another caller's, it is a conflict.
func (s *Server[O]) submit(o O, id string, by Caller) (*job, error) {
	if id == "" {
		id = rand.Text()
	}
	text, err := ops.Encode(o, "")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(time.Now())
	if old, ok := s.jobs[id]; ok {
		if old.digest == sha256.Sum256(text) && by.sees(old) {
			return old, nil
		}
		e := ops.Errorf(ops.CodeConflict, "the job id %q belongs to another job", id)
		e.Field = "job_id"
		return nil, e
	}
	if s.gone.Load() {
		return nil, ops.Errorf(ops.CodeUnavailable, "the %s is stopping and takes no more jobs", s.Mode).WithHint("%s", s.Again)
	}
	head := header{ID: id, Operation: o.Name(), Op: text, By: by.ID, CreatedAt: time.Now().UTC()}
	log, err := createLog(filepath.Join(s.Dir, id+logSuffix), head, s.TailBytes, &s.spares)
	if err != nil {
		return nil, ops.Errorf(ops.CodeInternal, "cannot start the job: %w", err).
			WithHint("the folder %s must be writable and its disk must have room", s.Dir)
	}
	j := newJob(head, log, s.Log)
	s.jobs[id] = j
	s.work.Go(j.settle) // begun first, it runs beside the job or after it
	s.start(j, o)
	return j, nil
}

// find returns the job, or a not_found error with the nearest id, as far as by
// is told of jobs.
func (s *Server[O]) find(id string, by Caller) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(time.Now())
	if j, ok := s.jobs[id]; ok && by.sees(j) {
		return j, nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no job %q", id)
	ids := make([]string, 0, len(s.jobs))
	for known, j := range s.jobs {
		if by.sees(j) {
			ids = append(ids, known)
		}
	}
	if near := ops.Nearest(id, ids); near != "" {
		return nil, e.WithHint("did you mean %q? `rbee job list` shows the jobs there are", near)
	}
	return nil, e.WithHint("`rbee job list` shows the jobs there are; finished ones are forgotten after %s", ops.Shortly(s.Retain))
}

// refuses is why an operation becomes no job. One that is a job already was taken.
func (s *Server[O]) refuses(ctx context.Context, o O, id string, by Caller) error {
	if s.Refuse == nil {
		return nil
	}
	err := s.Refuse(ops.WithCaller(ctx, by.ID), o)
	if _, taken := s.Job(id); taken {
		return nil
	}
	return err
}

// Job is what a job tells of itself, as the list of them has it, and whether there
// is such a job.
func (s *Server[O]) Job(id string) (info ops.Job, ok bool) {
	s.mu.Lock()
	j, ok := s.jobs[id]
	s.mu.Unlock()
	if ok {
		info = j.Info()
	}
	return info, ok
}

// Jobs counts the jobs that are no lookups, by state.
func (s *Server[O]) Jobs() map[ops.JobState]int {
	return s.JobsOf(func(string) bool { return true })
}

// JobsOf is [Server.Jobs] of those whose submitters, API keys by their ids or "" for the
// daemon's own token, are seen.
func (s *Server[O]) JobsOf(sees func(by string) bool) map[ops.JobState]int {
	counts := map[ops.JobState]int{}
	for _, j := range s.all() {
		if info := j.Info(); !ops.IsLookup(info.Operation) && sees(info.By) {
			counts[info.State]++
		}
	}
	return counts
}

func (s *Server[O]) all() []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(time.Now())
	list := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		list = append(list, j)
	}
	return list
}

// Refresh publishes State anew, where somebody reads it.
func (s *Server[O]) Refresh() {
	if s.watch.Load() == 0 {
		return
	}
	s.fresh.Lock()
	defer s.fresh.Unlock()
	s.Publish(s.State())
}

// Publish makes state the content of the state stream. What it points to must
// not change afterwards.
func (s *Server[O]) Publish(state any) {
	text, err := json.Marshal(state)
	if err != nil {
		s.Log.Error().Err(err).Msg("the state cannot be encoded")
		return
	}
	s.state.set(text)
}
