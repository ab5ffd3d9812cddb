package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// farm is a fleet of servers in this process.
type farm struct {
	t        *testing.T
	front    *httptest.Server
	gateway  *Gateway
	schedule *schedule.Scheduler

	mu      sync.Mutex
	workers []ops.Worker
	servers map[string]*httptest.Server
	models  []ops.Model
	aliases map[string]string
	bring   func(ctx context.Context, reference string) (ops.Model, error)
	start   func(ctx context.Context, model string) (ops.Worker, error)
	dialled []string
	put     string // a model that nobody has told of yet
	cards   bool   // the hive gpu1 has them
	remote  bool   // the workers are reached over a connection that ends with what they say
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{t: t, servers: map[string]*httptest.Server{}, models: []ops.Model{{ID: "bee"}, {ID: "broken", Error: "truncated"}}}
	f.start = func(context.Context, string) (ops.Worker, error) {
		return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "there is no room")
	}
	f.schedule = schedule.New(schedule.Options{Fleet: f})
	f.gateway = New(f, f.schedule)
	f.front = httptest.NewServer(f.gateway)
	t.Cleanup(func() {
		f.front.Close()
		f.schedule.Close()
		f.gateway.Close()
	})
	return f
}

// add adds a worker with the model bee that answers as h does.
func (f *farm) add(id string, h http.HandlerFunc) ops.Worker {
	f.t.Helper()
	s := httptest.NewServer(h)
	f.t.Cleanup(s.Close)
	w := ops.Worker{HiveID: "gpu1", ID: id, Model: "bee", State: ops.WorkerReady, Slots: 4}
	f.mu.Lock()
	f.workers, f.servers[id] = append(f.workers, w), s
	f.mu.Unlock()
	f.tell()
	return w
}

// tell tells the scheduler what there is: the workers' hive, and the queen's own.
func (f *farm) tell() {
	f.schedule.Heard(ops.LocalHive, ops.HiveSnapshot{})
	f.schedule.DrainHive(ops.LocalHive, true)
	f.schedule.Heard("gpu1", ops.HiveSnapshot{Workers: f.Workers(), Models: f.models})
}

func (f *farm) Wake(context.Context) { f.tell() }

func (f *farm) Workers() []ops.Worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.workers)
}

func (f *farm) Models(context.Context) []ops.Model { return f.models }

func (f *farm) Aliases() map[string]string { return f.aliases }

func (f *farm) JustPut(_ context.Context, model string) bool {
	if f.put != model {
		return false
	}
	f.models = append(f.models, ops.Model{ID: model})
	f.mu.Lock()
	f.workers[0].Model = model
	f.mu.Unlock()
	f.tell()
	return true
}

func (f *farm) Bring(ctx context.Context, reference string) (ops.Model, error) {
	return f.bring(ctx, reference)
}

func (f *farm) HasCard(hive string) bool { return f.cards && hive == "gpu1" }

// Unload takes a worker out that has no requests.
func (f *farm) Unload(_ context.Context, w ops.Worker) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.Running > 0 {
		return ops.Errorf(ops.CodeConflict, "it has something to do")
	}
	f.workers = slices.DeleteFunc(f.workers, func(x ops.Worker) bool { return x.ID == w.ID })
	return nil
}

func (f *farm) Dial(ctx context.Context, hive, worker string) (net.Conn, error) {
	f.mu.Lock()
	f.dialled = append(f.dialled, hive+"/"+worker)
	s := f.servers[worker]
	f.mu.Unlock()
	if s == nil {
		return nil, errors.New("nobody listens")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	if err == nil && f.remote {
		conn = lostConn{conn}
	}
	return conn, err
}

// lostConn is a socket's connection of which the one that carries it ends.
type lostConn struct{ net.Conn }

func (c lostConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = ssh.ErrLost
	}
	return n, err
}

func (f *farm) Start(ctx context.Context, p schedule.Plan) (ops.Worker, error) {
	return f.start(ctx, p.Model)
}

// open sends a request and returns the answer as it begins.
func (f *farm) open(ctx context.Context, method, path, body string, header http.Header) (*http.Response, error) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, f.front.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	maps.Copy(r.Header, header)
	return http.DefaultClient.Do(r)
}

// send sends a request and returns the status, headers and text of the answer.
// BROKEN is where its connection was.
func (f *farm) send(method, path, body string, header http.Header) (int, http.Header, string) {
	f.t.Helper()
	answer, err := f.open(f.t.Context(), method, path, body, header)
	if err != nil {
		return 0, nil, "BROKEN"
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		text = append(text, "BROKEN"...)
	}
	return answer.StatusCode, answer.Header, string(text)
}

// ask posts a body.
func (f *farm) ask(path, body string) (int, http.Header, string) {
	f.t.Helper()
	return f.send(http.MethodPost, path, body, nil)
}

// events answers with an event stream.
func events(list ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range list {
			if e == "BREAK" {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, "data: "+e+"\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// streamed asks for a stream.
const streamed = `{"model":"bee","stream":true}`
