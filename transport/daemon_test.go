package transport_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// jobID is a job id that submitters may choose.
const jobID = "job-of-the-test-01"

// daemon is an HTTP server with the job API's routes that does with each
// connection what its test says. Real daemons never do most of it.
type daemon struct {
	*httptest.Server
	submit func(n int, w http.ResponseWriter) // the n-th submission, from 1; nil takes it
	older  bool                               // it answers a submission with the stream's address only
	stream func(s *streamer)

	mu        sync.Mutex
	submitted []string // job ids
	cancelled []string // job ids
	streams   int
	handlers  sync.WaitGroup
	closing   chan struct{}
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{closing: make(chan struct{})}
	d.Server = httptest.NewUnstartedServer(d.routes())
	d.Start()
	t.Cleanup(func() {
		close(d.closing)
		d.CloseClientConnections()
		d.Close()
		d.handlers.Wait()
	})
	return d
}

// client is a client of d with little patience.
func (d *daemon) client(t *testing.T, change ...func(*transport.Options)) *transport.Client {
	t.Helper()
	o := transport.Options{Name: "the hive", BaseURL: d.URL, Patience: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	c := transport.New(o)
	t.Cleanup(c.Close)
	return c
}

func (d *daemon) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, id, err := ops.Decode[ops.Op](body)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, err)
			return
		}
		d.mu.Lock()
		d.submitted = append(d.submitted, id)
		n := len(d.submitted)
		d.mu.Unlock()
		if d.submit != nil {
			d.submit(n, w)
			return
		}
		if !d.older && r.Header.Get("Accept") == "text/event-stream" {
			d.serveStream(w, r)
			return
		}
		writeJSON(w, http.StatusAccepted, ops.Accepted{JobID: id, SSEURL: "/v1/jobs/" + id + "/stream"})
	})
	mux.HandleFunc("DELETE /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.cancelled = append(d.cancelled, r.PathValue("id"))
		d.mu.Unlock()
		writeJSON(w, http.StatusOK, ops.Job{ID: r.PathValue("id"), State: ops.JobCancelled})
	})
	mux.HandleFunc("GET /v1/jobs/{id}/stream", d.serveStream)
	mux.HandleFunc("GET /v1/state/stream", d.serveStream)
	return mux
}

func (d *daemon) serveStream(w http.ResponseWriter, r *http.Request) {
	d.handlers.Add(1)
	defer d.handlers.Done()
	d.mu.Lock()
	d.streams++
	s := &streamer{w: w, r: r, n: d.streams, closing: d.closing}
	d.mu.Unlock()
	s.after, _ = strconv.Atoi(r.Header.Get("Last-Event-ID"))
	d.stream(s)
}

// counts returns how often something was submitted, cancelled and streamed.
func (d *daemon) counts() (submitted, cancelled, streams int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.submitted), len(d.cancelled), d.streams
}

// submissions returns the ids of the jobs that were submitted, in order.
func (d *daemon) submissions() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.submitted)
}

// cancellations returns the ids of the jobs that were cancelled, in order.
func (d *daemon) cancellations() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.cancelled)
}

// streamer is one connection of a stream on the daemon's side.
type streamer struct {
	w       http.ResponseWriter
	r       *http.Request
	n       int // which one it is, from 1
	after   int // its Last-Event-ID
	closing chan struct{}
	begun   bool
}

// raw sends text at once.
func (s *streamer) raw(text string) {
	if !s.begun {
		s.w.Header().Set("Content-Type", "text/event-stream")
		s.w.WriteHeader(http.StatusOK)
		s.begun = true
	}
	_, _ = io.WriteString(s.w, text)
	_ = http.NewResponseController(s.w).Flush()
}

// send sends one event.
func (s *streamer) send(id int, e ops.Event) { s.raw(frame(id, e)) }

// sendAll sends the events behind the reader's Last-Event-ID.
func (s *streamer) sendAll(events []ops.Event) {
	for i, e := range events {
		if i >= s.after {
			s.send(i+1, e)
		}
	}
}

// drop cuts the connection.
func (s *streamer) drop() { panic(http.ErrAbortHandler) }

// hang says nothing until the reader or the test has gone.
func (s *streamer) hang() {
	select {
	case <-s.r.Context().Done():
	case <-s.closing:
	}
}

// fail answers with an error in place of a stream.
func (s *streamer) fail(e *ops.Error) { writeJSON(s.w, e.Code.HTTPStatus(), e) }

// frame is an event as it goes over the wire.
func frame(id int, e ops.Event) string {
	data, err := ops.EncodeEvent(e)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "id: %d\n", id)
	if e.Kind() != "" {
		fmt.Fprintf(&b, "event: %s\n", e.Kind())
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return b.String()
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// story is a job's events: n tokens, a result and the end.
func story(n int) []ops.Event {
	events := []ops.Event{ops.NarrationEvent{Actor: "worker", Action: "infer_start", Human: "thinking", Level: ops.LevelInfo}}
	for i := range n {
		events = append(events, ops.TokenEvent{Text: fmt.Sprintf("token %d: é\n\"…\" ", i)})
	}
	return append(events, ops.ResultEvent{Raw: json.RawMessage(`{"text":"all of it","model":"tinybee"}`)}, ops.EndEvent{State: ops.JobCompleted})
}

// ending is a job's events that end in failure.
func ending(e *ops.Error, state ops.JobState) []ops.Event {
	return []ops.Event{ops.ErrorEvent{Error: *e}, ops.EndEvent{State: state, Message: e.Error()}}
}

// eventually waits until ok holds; a test that never gets there hits go test's
// own time limit.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatal("the test ended first")
		}
		time.Sleep(time.Millisecond)
	}
}
