package job

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
	// Dir is the folder of the jobs' logs; it is made if need be.
	Dir string
	// Token is the bearer token wanted on every route but /health; "" wants none.
	Token string
	// Hosts are values of the Host header to accept, without port, beside
	// localhost, 127.0.0.1 and [::1].
	Hosts []string
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
	// WriteTimeout is how long a reader may take nothing before it is dropped;
	// 0 means 30 s.
	WriteTimeout time.Duration
}

func (o *Options[O]) setDefaults() {
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
	echo  *echo.Echo
	state feed

	base   context.Context //nolint:containedctx // of all jobs; ends at Detach and Stop
	end    context.CancelCauseFunc
	work   sync.WaitGroup // running jobs
	closed chan struct{}  // closed when streams must end, whatever they wait for
	once   sync.Once

	mu   sync.Mutex
	jobs map[string]*job
	gone bool // no job is taken any more
}

// NewServer reads the folder of the jobs' logs: finished jobs are remembered,
// unfinished ones run again, with what their logs hold already.
func NewServer[O ops.Op](o Options[O]) (*Server[O], error) {
	o.setDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the jobs' logs: %w", err)
	}
	base, end := context.WithCancelCause(context.Background())
	s := &Server[O]{
		Options: o, base: base, end: end, closed: make(chan struct{}), jobs: map[string]*job{},
	}
	s.state.changed = make(chan struct{})
	s.echo = s.routes()
	if err := s.restore(); err != nil {
		end(err)
		return nil, err
	}
	return s, nil
}

// submit starts o as a job. The same id with the same operation is the same
// job; with another operation it is a conflict.
func (s *Server[O]) submit(o O, id string) (*job, error) {
	if id == "" {
		id = rand.Text()
	}
	text, err := ops.Encode(o, "")
	if err != nil {
		return nil, err
	}
	s.forget(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.jobs[id]; ok {
		if string(old.head.Op) == string(text) {
			return old, nil
		}
		e := ops.Errorf(ops.CodeConflict, "the job id %q belongs to another operation (%s)", id, old.head.Operation)
		e.Field = "job_id"
		return nil, e
	}
	if s.gone {
		return nil, ops.Errorf(ops.CodeUnavailable, "the %s is stopping and takes no more jobs", s.Mode)
	}
	head := header{ID: id, Operation: o.Name(), Op: text, CreatedAt: time.Now().UTC()}
	log, err := createLog(s.logPath(id), head, s.TailBytes)
	if err != nil {
		return nil, ops.Errorf(ops.CodeInternal, "cannot start the job: %w", err).
			WithHint("the folder %s must be writable and its disk must have room", s.Dir)
	}
	j := s.newJob(head, log)
	s.jobs[id] = j
	s.start(j, o)
	return j, nil
}

func (s *Server[O]) logPath(id string) string { return filepath.Join(s.Dir, id+".jsonl") }

func (s *Server[O]) newJob(head header, log *eventLog) *job {
	return &job{
		head: head, log: log, state: ops.JobQueued, done: make(chan struct{}),
		logger: s.Log.With().Str("job", head.ID).Str("operation", head.Operation).Logger(),
	}
}

// start runs the job. The caller holds the lock or is alone.
func (s *Server[O]) start(j *job, o O) {
	ctx, cancel := context.WithCancelCause(s.base)
	j.cancel = cancel
	ctx = ops.WithSink(j.logger.WithContext(ctx), j)
	j.begin()
	s.work.Go(func() {
		defer close(j.done)
		defer cancel(nil)
		j.logger.Info().Msg("job started")
		result, err := work(func() (any, error) { return s.Run(ctx, o) })
		s.conclude(ctx, j, result, err)
	})
}

// conclude ends the job in the state that fits how its work ended.
func (s *Server[O]) conclude(ctx context.Context, j *job, result json.RawMessage, err error) {
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		j.finish(ops.JobCompleted, result, nil)
	case errors.Is(cause, ops.ErrDetached):
		j.detach()
	default:
		if cause != nil { // why it was ended says more than how the work noticed
			err = cause
		}
		failure := ops.AsError(err)
		state := ops.JobFailed
		if failure.Code == ops.CodeCancelled {
			state = ops.JobCancelled
		}
		j.finish(state, nil, failure)
	}
}

// find returns the job, or a not_found error with the nearest id.
func (s *Server[O]) find(id string) (*job, error) {
	s.forget(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, ok := s.jobs[id]; ok {
		return j, nil
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no job %q", id)
	ids := make([]string, 0, len(s.jobs))
	for known := range s.jobs {
		ids = append(ids, known)
	}
	if near := ops.Nearest(id, ids); near != "" {
		return nil, e.WithHint("did you mean %q? `rbee job list` shows the jobs there are", near)
	}
	return nil, e.WithHint("`rbee job list` shows the jobs there are; finished ones are forgotten after %s", s.Retain)
}

// Jobs counts the jobs by state.
func (s *Server[O]) Jobs() map[ops.JobState]int {
	counts := map[ops.JobState]int{}
	for _, j := range s.all() {
		counts[j.Info().State]++
	}
	return counts
}

func (s *Server[O]) all() []*job {
	s.forget(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		list = append(list, j)
	}
	return list
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

// Detach prepares for a restart: it ends the work of every job without ending
// the jobs, waits for it, and closes the streams. The next process takes the
// jobs up from their logs.
func (s *Server[O]) Detach(ctx context.Context) error { return s.shutdown(ctx, ops.ErrDetached) }

// Stop cancels every job, gives readers until ctx ends to read how it ended,
// and closes the streams.
func (s *Server[O]) Stop(ctx context.Context) error {
	return s.shutdown(ctx, ops.Errorf(ops.CodeCancelled, "the %s is stopping", s.Mode))
}

func (s *Server[O]) shutdown(ctx context.Context, cause error) error {
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	s.end(cause)
	idle := make(chan struct{})
	go func() { // ends with the last job
		defer close(idle)
		s.work.Wait()
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("wait for the jobs to end: %w", context.Cause(ctx))
	}
	s.once.Do(func() { close(s.closed) })
	return err
}
