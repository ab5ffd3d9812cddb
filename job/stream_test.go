package job_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/r3labs/sse/v2"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// tokens emits n tokens, named by number.
func tokens(ctx context.Context, n int) {
	for i := range n {
		ops.Emit(ctx, ops.TokenEvent{Text: fmt.Sprintf("t%d", i+1)})
	}
}

// inOrder checks that frames are the tokens 1 to n, a result and the end.
func inOrder(frames []frame, n int) error {
	if len(frames) != n+2 {
		return fmt.Errorf("%d events, want %d", len(frames), n+2)
	}
	for i, f := range frames {
		want := frame{uint64(i + 1), "token", fmt.Sprintf(`{"text":"t%d"}`, i+1)}
		switch i {
		case n:
			want = frame{uint64(i + 1), "result", `"done"`}
		case n + 1:
			want = frame{uint64(i + 1), "", "[DONE]"}
		}
		if f != want {
			return fmt.Errorf("event %d is %+v, want %+v", i+1, f, want)
		}
	}
	return nil
}

func TestEveryReaderGetsEveryEventOnceAndInOrder(t *testing.T) {
	const n = 2000
	gate := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, n/2)
		<-gate
		for i := n / 2; i < n; i++ {
			ops.Emit(ctx, ops.TokenEvent{Text: fmt.Sprintf("t%d", i+1)})
		}
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.TailBytes = 500 }) // so that most is read from the file
	id := d.submit(infer)
	var readers sync.WaitGroup
	for r := range 20 {
		readers.Go(func() { // each reconnects after a number of events of its own
			var got []frame
			for len(got) < n+2 {
				var after uint64
				if len(got) > 0 {
					after = got[len(got)-1].id
				}
				part, err := d.read(t.Context(), id, after, 37+r*50)
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, part...)
				if r == 0 && len(got) >= 100 {
					select {
					case <-gate:
					default:
						close(gate)
					}
				}
			}
			if err := inOrder(got, n); err != nil {
				t.Errorf("reader %d: %v", r, err)
			}
		})
	}
	readers.Wait()
	if err := inOrder(d.all(id), n); err != nil {
		t.Errorf("a reader after the end: %v", err)
	}
}

// subscribe reads a stream from after with r3labs/sse's client, until it ends or
// most events have come.
func (d *daemon) subscribe(id string, after uint64, most int) (got []frame, err error) {
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	client := sse.NewClient(d.URL + "/v1/jobs/" + id + "/stream")
	client.Connection = &d.client
	client.ReconnectStrategy = stopAtOnce{}
	client.LastEventID.Store(strconv.AppendUint(nil, after, 10))
	err = client.SubscribeRawWithContext(ctx, func(e *sse.Event) {
		if len(e.Data) == 0 || len(got) == most { // a comment, or too much
			return
		}
		id, err := strconv.ParseUint(string(e.ID), 10, 64)
		if err != nil {
			d.t.Errorf("event id %q", e.ID)
		}
		if got = append(got, frame{id, string(e.Event), string(e.Data)}); len(got) == most {
			cancel()
		}
	})
	if len(got) == most {
		err = nil // it was cancelled here
	}
	return got, err
}

func TestAnIndependentClientReadsTheStream(t *testing.T) {
	const n = 300
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, n)
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.TailBytes, o.Heartbeat = 1000, time.Millisecond })
	id := d.submit(infer)
	for _, most := range []int{n + 10, 100, 7} { // events until it reconnects
		var got []frame
		for len(got) < n+2 {
			part, err := d.subscribe(id, uint64(len(got)), most)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if err := inOrder(got, n); err != nil {
			t.Errorf("%d events at a time: %v", most, err)
		}
	}
}

// stopAtOnce is a backoff that tries nothing again.
type stopAtOnce struct{}

func (stopAtOnce) NextBackOff() time.Duration { return -1 }
func (stopAtOnce) Reset()                     {}

func TestAnEventArrivesWhileTheJobRuns(t *testing.T) {
	seen := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 1)
		select {
		case <-seen: // the reader has it before the job goes on
			return "done", nil
		case <-time.After(20 * time.Second):
			return nil, errors.New("the event was held back")
		}
	})
	id := d.submit(infer)
	if _, err := d.read(t.Context(), id, 0, 1); err != nil {
		t.Fatal(err)
	}
	close(seen)
	if err := inOrder(d.all(id), 1); err != nil {
		t.Error(err)
	}
}

func TestAReaderThatTakesNothingHarmsNobodyAndIsDropped(t *testing.T) {
	const n = 3000
	big := strings.Repeat("x", 2000)
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		for range n {
			ops.Emit(ctx, ops.TokenEvent{Text: big})
		}
		return "done", nil
	}, func(o *job.Options[ops.HiveOp]) { o.WriteTimeout = 200 * time.Millisecond })
	id := d.submit(infer)
	d.stuck(id)
	if got := d.all(id); len(got) != n+2 {
		t.Errorf("another reader got %d events, want %d", len(got), n+2)
	}
	select {
	case <-d.Unread():
	case <-time.After(20 * time.Second):
		t.Error("the reader that took nothing was not dropped")
	}
}

func TestASilentStreamSaysThatItIsThere(t *testing.T) {
	stop := make(chan struct{})
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { <-stop; return "done", nil },
		func(o *job.Options[ops.HiveOp]) { o.Heartbeat = 10 * time.Millisecond })
	answer, err := d.client.Get(d.URL + "/v1/jobs/" + d.submit(infer) + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	buf := make([]byte, 64)
	n, err := answer.Body.Read(buf)
	close(stop)
	if err != nil || !strings.HasPrefix(string(buf[:n]), ":") {
		t.Errorf("got %q, %v, want a comment", buf[:n], err)
	}
}

func TestAStreamBeginsBeforeItsFirstEvent(t *testing.T) {
	stop := make(chan struct{})
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { <-stop; return "done", nil })
	answer, err := d.client.Get(d.URL + "/v1/jobs/" + d.submit(infer) + "/stream") // returns with the headers
	close(stop)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasPrefix(string(text), "id: 1\n") {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestProgressIsThinnedOutButItsLastIsKept(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		for i := range 5000 {
			ops.Progress(ctx, "load", int64(i+1), 5000, "steps")
		}
		tokens(ctx, 1)
		return "done", nil
	})
	frames := d.all(d.submit(infer))
	var progress []frame
	for i, f := range frames {
		if f.id != uint64(i+1) {
			t.Fatalf("event %d has id %d", i+1, f.id)
		}
		if f.kind == "progress" {
			progress = append(progress, f)
		}
	}
	if len(progress) > 100 || !strings.Contains(progress[len(progress)-1].data, `"done":5000`) {
		t.Errorf("%d progress events, the last %+v", len(progress), progress[len(progress)-1])
	}
	if frames[len(progress)].kind != "token" {
		t.Error("the last progress does not come before the next event")
	}
}

func TestWhatCannotBeStreamed(t *testing.T) {
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { return "done", nil })
	id := d.submit(`{"operation":"infer","prompt":"x","job_id":"aaaaaaaaaaaaaaaa"}`)
	d.all(id)
	if status, text := d.request("GET", "/v1/jobs/aaaaaaaaaaaaaaab/stream", ""); status != 404 || !strings.Contains(text, id) {
		t.Errorf("unknown job: %d %s, want 404 with the nearest id", status, text)
	}
	for _, bad := range []string{"x", "-1", "1.5", "3", "18446744073709551615", "18446744073709551616"} {
		status, text := d.request("GET", "/v1/jobs/"+id+"/stream", "", "Last-Event-ID", bad)
		if status != 400 || !strings.Contains(text, `"field":"Last-Event-ID"`) {
			t.Errorf("Last-Event-ID %s: %d %s, want 400", bad, status, text)
		}
	}
}

func TestAReaderWhoKnowsTheEndGetsNothing(t *testing.T) {
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { return "done", nil })
	id := d.submit(infer)
	d.all(id)
	if status, text := d.request("GET", "/v1/jobs/"+id+"/stream", "", "Last-Event-ID", "2"); status != 200 || text != "" {
		t.Errorf("%d %q, want an empty stream", status, text)
	}
}

func TestTheStreamsBytes(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Emit(ctx, ops.TokenEvent{Text: "a\nb <é>"})
		return nil, ops.Errorf(ops.CodeNotFound, "no such\nthing")
	})
	want := `id: 1
event: token
data: {"text":"a\nb \u003cé\u003e"}

id: 2
event: error
data: {"code":"not_found","message":"no such\nthing"}

id: 3
data: [ERROR] no such thing

`
	id := d.submit(infer)
	for range 2 {
		if _, text := d.request("GET", "/v1/jobs/"+id+"/stream", ""); text != want {
			t.Errorf("got %s, want %s", text, want)
		}
		d.all(id)
		<-d.Unread() // then it comes from the file
	}
}

func TestTheStateStreamSkipsToTheNewest(t *testing.T) {
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) { return nil, nil })
	for i := range 10 {
		d.Publish(map[string]int{"n": i})
	}
	answer, err := d.client.Get(d.URL + "/v1/state/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	buf := make([]byte, 4096)
	var text string
	for !strings.Contains(text, `{"n":10}`) {
		n, err := answer.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if text += string(buf[:n]); strings.Contains(text, `{"n":9}`) {
			d.Publish(map[string]int{"n": 10})
		}
	}
	if strings.Contains(text, `{"n":8}`) {
		t.Errorf("a late reader got old states: %s", text)
	}
}

func TestASubmitterMayAskForTheStreamAtOnce(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 3)
		return "done", nil
	})
	const body = `{"operation":"infer","prompt":"x","job_id":"aaaaaaaaaaaaaaaa"}`
	status, first := d.request(http.MethodPost, "/v1/jobs", body, "Accept", "text/event-stream")
	if status != http.StatusOK || !strings.HasSuffix(first, "data: [DONE]\n\n") {
		t.Fatalf("%d %s", status, first)
	}
	if err := inOrder(d.all("aaaaaaaaaaaaaaaa"), 3); err != nil {
		t.Error(err)
	}
	if _, again := d.request(http.MethodPost, "/v1/jobs", body, "Accept", "text/event-stream"); again != first {
		t.Errorf("the same submission again gives %q, want the same stream %q", again, first)
	}
	status, _ = d.request(http.MethodPost, "/v1/jobs", `{"operation":"nap"}`, "Accept", "text/event-stream")
	if status != http.StatusBadRequest {
		t.Errorf("a bad operation gives %d", status)
	}
}

func TestAStateIsAskedForOnlyWhileSomebodyReadsIt(t *testing.T) {
	var asked atomic.Int64
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) {
		o.State = func() any { return map[string]int64{"n": asked.Add(1)} }
	})
	d.Refresh()
	if n := asked.Load(); n != 0 {
		t.Errorf("nobody reads it, and it was asked for %d times", n)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+"/v1/state/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	told := func(want string) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if data != want {
					t.Errorf("it is %s, want %s", data, want)
				}
				return
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
	}
	told(`{"n":1}`) // by coming
	d.Refresh()
	told(`{"n":2}`)
}
