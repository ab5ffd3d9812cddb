package queen

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// served is a hive behind a server of jobs.
type served struct{ client *transport.Client }

func (served) ensure(context.Context) error { return nil }
func (s served) jobs() *transport.Client    { return s.client }
func (s served) direct() *transport.Client  { return s.client }
func (s served) Close()                     { s.client.Close() }

// serving is a queen with a hive gpu1 that does operations so. It has a worker w
// whose model is divided, and another one, whole.
func serving(t *testing.T, do func(ctx context.Context, o ops.HiveOp) (any, error)) *Queen {
	t.Helper()
	q := &Queen{splits: newSplits()}
	q.Log = zerolog.Nop()
	q.schedule = schedule.New(schedule.Options{})
	q.books.schedule = q.schedule
	q.books.hives = map[string]*entry{"gpu1": {}}
	q.books.heard("gpu1", ops.HiveSnapshot{Workers: []ops.Worker{
		{ID: "w", HiveID: "gpu1", Model: "big", State: ops.WorkerReady, Parts: []string{"gpu2"}}, {ID: "whole", HiveID: "gpu1", Model: "small", State: ops.WorkerReady},
	}}, time.Now())
	q.addServed(t, "gpu1", do)
	t.Cleanup(func() { // before the hives' servers
		q.hives.close()
		q.schedule.Close()
	})
	return q
}

// addServed adds a hive that does operations so.
func (q *Queen) addServed(t *testing.T, id string, do func(ctx context.Context, o ops.HiveOp) (any, error)) {
	t.Helper()
	jobs, err := job.NewServer(job.Options[ops.HiveOp]{Mode: "hive", Dir: t.TempDir(), Log: zerolog.Nop(), Run: do})
	if err != nil {
		t.Fatal(err)
	}
	jobs.Mount(http.MethodPost, "/v1/probe", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		snapshot, _ := q.books.snapshot(id)
		_ = json.NewEncoder(w).Encode(snapshot)
	}))
	s := httptest.NewServer(jobs)
	h := served{transport.New(transport.Options{Name: "hive " + id, BaseURL: s.URL})}
	q.hives.add(t.Context(), id, h, func(ctx context.Context) { <-ctx.Done() })
	t.Cleanup(func() {
		h.Close()
		if err := jobs.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// noted is a sink that keeps what is said.
type noted struct {
	mu   sync.Mutex
	at   ops.Cursor
	said []string
}

func (*noted) JobID() string { return "0123456789abcdef" }

func (n *noted) Emit(e ops.Event) { n.Mark(e, n.Cursor()) }

func (n *noted) Mark(e ops.Event, at ops.Cursor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = at
	switch e := e.(type) {
	case ops.TokenEvent:
		n.said = append(n.said, e.Text)
	case ops.NarrationEvent:
		n.said = append(n.said, e.Human)
	case ops.ProgressEvent, ops.ResultEvent, ops.ErrorEvent, ops.EndEvent, nil:
	}
}

func (n *noted) Cursor() ops.Cursor {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

func TestAWorkerOfADividedModelThatIsNamedIsAskedOnceMore(t *testing.T) {
	lost := ops.Errorf(ops.CodeUnavailable, "the part of the model on hive gpu2 was lost")
	for _, c := range []struct {
		name  string
		op    ops.Infer
		fails int // how often it does
		after string
		err   *ops.Error
		asked int
		code  ops.Code
	}{
		{name: "it fails once", op: ops.Infer{WorkerID: "w"}, fails: 1, err: lost, asked: 2},
		{name: "its model is named too", op: ops.Infer{WorkerID: "w", Model: "big"}, fails: 1, err: lost, asked: 2},
		{name: "it fails twice", op: ops.Infer{WorkerID: "w"}, fails: 2, err: lost, asked: 2, code: ops.CodeUnavailable},
		{name: "it has said something", op: ops.Infer{WorkerID: "w"}, fails: 1, after: "Once", err: lost, asked: 1, code: ops.CodeUnavailable},
		{name: "it will not", op: ops.Infer{WorkerID: "w"}, fails: 1, err: ops.Invalid("prompt", "is too long"), asked: 1, code: ops.CodeInvalid},
		{name: "it is whole", op: ops.Infer{WorkerID: "whole"}, fails: 1, err: lost, asked: 1, code: ops.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			asked := 0
			q := serving(t, func(ctx context.Context, o ops.HiveOp) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				if i, ok := o.(ops.Infer); !ok || i.WorkerID != c.op.WorkerID {
					t.Errorf("it is asked for %+v", o)
				}
				if c.after != "" {
					ops.Emit(ctx, ops.TokenEvent{Text: c.after})
				}
				if asked++; asked <= c.fails {
					return nil, c.err
				}
				return ops.Answer{WorkerID: "w", Text: "Once upon a time"}, nil
			})
			c.op.Prompt = "Tell"
			sink := &noted{}
			_, err := q.assign(ops.WithSink(t.Context(), sink), c.op)
			if ops.CodeOf(err) != c.code || asked != c.asked {
				t.Errorf("%v, asked %d times", err, asked)
			}
			if told := strings.Contains(strings.Join(sink.said, "\n"), "worker w of gpu1 could not do it, trying it once more"); told != (c.asked == 2) {
				t.Errorf("it says %q", sink.said)
			}
		})
	}
}

func TestAJobThatAnEngineHasFailedGoesToAnotherWorkerThatThereIs(t *testing.T) {
	for name, tt := range map[string]struct {
		fail  []string // workers that do
		asked int
		err   string
	}{
		"one fails": {fail: []string{"whole"}, asked: 2},
		"both do":   {fail: []string{"whole", "whole2"}, asked: 2, err: "worker whole of gpu1, which runs small: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			q := serving(t, func(_ context.Context, o ops.HiveOp) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				i := o.(ops.Infer)
				asked = append(asked, i.WorkerID)
				if slices.Contains(tt.fail, i.WorkerID) {
					return nil, ops.Errorf(ops.CodeInternal, "boom")
				}
				return ops.Answer{WorkerID: i.WorkerID}, nil
			})
			q.books.heard("gpu1", ops.HiveSnapshot{Models: []ops.Model{{ID: "small", AddedAt: time.Now()}}, Workers: []ops.Worker{
				{ID: "whole", HiveID: "gpu1", Model: "small", State: ops.WorkerReady, Slots: 4},
				{ID: "whole2", HiveID: "gpu1", Model: "small", State: ops.WorkerReady, Slots: 4},
			}}, time.Now())
			sink := &noted{}
			_, err := q.assign(ops.WithSink(t.Context(), sink), ops.Infer{Prompt: "Tell"})
			if len(asked) != tt.asked {
				t.Errorf("%q were asked", asked)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err || !strings.Contains(ops.AsError(err).Hint, "rbee worker delete whole --hive gpu1")) {
				t.Errorf("it fails with %v", err)
			}
			if told := strings.Join(sink.said, "\n"); !strings.Contains(told, "worker whole of gpu1, which runs small: boom; worker whole2 of gpu1 is asked in its place") || strings.Count(told, "no model was named") != 1 {
				t.Errorf("it says %q", told)
			}
		})
	}
}

func TestAJobThatNamesAWorkerIsToldWhichHasFailed(t *testing.T) {
	asked := 0
	q := serving(t, func(context.Context, ops.HiveOp) (any, error) {
		asked++
		return nil, ops.Errorf(ops.CodeInternal, "boom").WithHint("mend it")
	})
	_, err := q.assign(ops.WithSink(t.Context(), &noted{}), ops.Infer{WorkerID: "whole", Prompt: "Tell"})
	if err == nil || err.Error() != "worker whole of gpu1, which runs small: boom" || ops.AsError(err).Hint != "mend it" || asked != 1 {
		t.Errorf("asked %d times, it fails with %v", asked, err)
	}
}

// TestTheQueensTokenIsOneClientWhicheverWayItComes: by a job as by the APIs, to which
// access tells it.
func TestTheQueensTokenIsOneClientWhicheverWayItComes(t *testing.T) {
	for by, want := range map[string]string{"": ops.ByToken, "kanna": "kanna"} {
		if got := toChoose(ops.WithSink(ops.WithCaller(t.Context(), by), &noted{}), ops.Infer{}).Client; got != want {
			t.Errorf("a job of %q is %q's", by, got)
		}
	}
}
