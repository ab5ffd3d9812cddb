package job_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// ended returns a context that is over.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// following reads a job's whole stream beside the test. first is closed once
// the stream's first event is there.
func (d *daemon) following(id string) (first <-chan struct{}, rest <-chan []frame) {
	began, done := make(chan struct{}), make(chan []frame, 1)
	go func() {
		defer close(done)
		var got []frame
		err := d.eachFrame(d.t.Context(), id, 0, func(f frame) bool {
			if got = append(got, f); len(got) == 1 {
				close(began)
			}
			return true
		})
		if err != nil {
			d.t.Errorf("the stream of %s broke off: %v", id, err)
		}
		done <- got
	}()
	return began, done
}

func TestStoppingCancelsWhatRuns(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 1)
		<-ctx.Done()
		return nil, ctx.Err()
	}, func(o *job.Options[ops.HiveOp]) { o.Again = "start it again" })
	id := d.submit(infer)
	first, rest := d.following(id)
	<-first
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := <-rest
	if len(got) != 3 || got[1].data != `{"code":"cancelled","message":"the test is stopping","hint":"start it again"}` || got[2].data != "[CANCELLED]" {
		t.Errorf("events %v, want the token, the error and the end", got)
	}
	if status, text := d.request(http.MethodGet, "/health", ""); status != http.StatusOK || !strings.Contains(text, `"status":"stopping"`) {
		t.Errorf("its health is %d %s", status, text)
	}
	if status, text := d.request(http.MethodPost, "/v1/jobs", infer); status != http.StatusServiceUnavailable || !strings.Contains(text, `"hint":"start it again"`) {
		t.Errorf("a job for a stopped daemon: %d %s", status, text)
	}
}

// stubborn is work that does not heed the end of its context until let go.
func stubborn() (run work, letGo func(), over <-chan struct{}) {
	release, returned := make(chan struct{}), make(chan struct{})
	return func(ctx context.Context, _ ops.HiveOp) (any, error) {
		defer close(returned)
		tokens(ctx, 1)
		<-release
		ops.Emit(ctx, ops.TokenEvent{Text: "too late"})
		return "done", nil
	}, func() { close(release) }, returned
}

func TestWorkThatDoesNotHeedTheStopIsCancelledAllTheSame(t *testing.T) {
	run, letGo, over := stubborn()
	d := serve(t, run)
	id := d.submit(infer)
	first, rest := d.following(id)
	<-first
	if err := d.Stop(ended()); err == nil {
		t.Error("Stop did not say that work is left")
	}
	if got := <-rest; len(got) != 3 || got[2].data != "[CANCELLED]" {
		t.Errorf("events %v", got)
	}
	letGo()
	<-over
	d.Close()
	d.Restart(mustNotRun(t))
	if j := d.job(id); j.State != ops.JobCancelled || j.Events != 3 {
		t.Errorf("after a restart %+v", j)
	}
}

func TestWorkThatDoesNotHeedARestartIsLeftToTheNextProcess(t *testing.T) {
	run, letGo, over := stubborn()
	d := serve(t, run)
	id := d.submit(infer)
	first, rest := d.following(id)
	<-first
	if err := d.Detach(ended()); err == nil {
		t.Error("Detach did not say that work is left")
	}
	if got := <-rest; len(got) != 1 {
		t.Errorf("events %v, want one and no end", got)
	}
	letGo() // what it still says must not get into the log
	<-over
	d.Restart(func(ctx context.Context, _ ops.HiveOp) (any, error) {
		ops.Emit(ctx, ops.TokenEvent{Text: "t2"})
		return "done", nil
	})
	if err := inOrder(d.all(id), 2); err != nil {
		t.Error(err)
	}
}

func TestReadersReadToTheEndBeforeTheDaemonStops(t *testing.T) {
	const n = 20
	big := strings.Repeat("x", 1<<19) // n of them are more than connections hold
	said := make(chan struct{})
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		for range n {
			ops.Emit(ctx, ops.TokenEvent{Text: big})
		}
		close(said)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	id := d.submit(infer)
	<-said
	got, stopped := 0, make(chan struct{})
	err := d.eachFrame(t.Context(), id, 0, func(frame) bool {
		if got++; got == 1 { // most is still to be sent
			go func() {
				defer close(stopped)
				d.Close()
			}()
		}
		return true
	})
	<-stopped
	if err != nil || got != n+2 {
		t.Errorf("%d events, %v, want %d", got, err, n+2)
	}
}

func TestAReaderThatTakesNothingDoesNotHoldUpTheStop(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		for range 20 { // more than the kernel's buffers hold
			ops.Emit(ctx, ops.TokenEvent{Text: big})
		}
		return "done", nil
	})
	id := d.submit(infer)
	d.stuck(id)
	d.all(id)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Error(err)
	}
	if n := d.Streams(); n != 1 {
		t.Errorf("%d streams are open, want that of the reader that takes nothing", n)
	}
}

// stuck opens a stream and reads its first event, then nothing any more.
func (d *daemon) stuck(id string) net.Conn {
	d.t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(d.t.Context(), "tcp", strings.TrimPrefix(d.URL, "http://"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		d.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /v1/jobs/%s/stream HTTP/1.1\r\nHost: localhost\r\n\r\n", id); err != nil {
		d.t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		d.t.Fatal(err)
	}
	return conn
}

func TestAJobEndsAsItsWorkDidWhenBothComeTogether(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*job.Server[ops.HiveOp], context.Context) error
	}{
		{"a stop", (*job.Server[ops.HiveOp]).Stop},
		{"a restart", (*job.Server[ops.HiveOp]).Detach},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := make(chan struct{})
			d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
				close(began)
				<-ctx.Done()
				return "done", nil // it was done before it noticed
			})
			id := d.submit(infer)
			<-began
			if err := tt.end(d.Server.Server, t.Context()); err != nil {
				t.Fatal(err)
			}
			if j := d.job(id); j.State != ops.JobCompleted {
				t.Errorf("job %+v, want it completed", j)
			}
		})
	}
}
