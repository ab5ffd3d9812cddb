package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

// farm is a fleet of servers in this process.
type farm struct {
	t        *testing.T
	front    *httptest.Server
	schedule *schedule.Scheduler

	mu      sync.Mutex
	workers []ops.Worker
	servers map[string]*httptest.Server
	models  []ops.Model
	aliases map[string]string
	bring   func(ctx context.Context, reference string) (ops.Model, error)
	start   func(ctx context.Context, model string) (ops.Worker, error)
	dialled []string
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	f := &farm{t: t, servers: map[string]*httptest.Server{}, models: []ops.Model{{ID: "bee"}, {ID: "broken", Error: "truncated"}}}
	f.start = func(context.Context, string) (ops.Worker, error) {
		return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "there is no room")
	}
	f.schedule = schedule.New(schedule.Options{Fleet: f})
	g := New(f, f.schedule)
	f.front = httptest.NewServer(g)
	t.Cleanup(func() {
		f.front.Close()
		f.schedule.Close()
		g.Close()
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

func (f *farm) Bring(ctx context.Context, reference string) (ops.Model, error) {
	return f.bring(ctx, reference)
}

func (f *farm) Dial(ctx context.Context, hive, worker string) (net.Conn, error) {
	f.mu.Lock()
	f.dialled = append(f.dialled, hive+"/"+worker)
	s := f.servers[worker]
	f.mu.Unlock()
	if s == nil {
		return nil, errors.New("nobody listens")
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
}

func (f *farm) Start(ctx context.Context, p schedule.Plan) (ops.Worker, error) {
	return f.start(ctx, p.Model)
}

// ask posts a body and returns the status, headers and text of the answer.
func (f *farm) ask(path, body string) (int, http.Header, string) {
	f.t.Helper()
	answer, err := http.Post(f.front.URL+path, "application/json", strings.NewReader(body)) //nolint:noctx // the server ends with the test
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

// send sends a request and returns the status and text of the answer.
func (f *farm) send(method, path, body string, header http.Header) (int, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.front.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		text = append(text, "BROKEN"...)
	}
	return answer.StatusCode, string(text)
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

const streamed = `{"model":"bee","stream":true}`

func TestARequestIsPassedOnUntouched(t *testing.T) {
	f := newFarm(t)
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Engine", "yes")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s|%s|%s", r.Method, r.URL, r.Host, body, r.Header.Get("X-Mine"), r.Header.Get("Authorization")+r.Header.Get("X-Api-Key")+r.Header.Get("Cookie")+r.Header.Get("Origin"))
	})
	const body = ` {"model":"bee", "tools":[{"x":1.0}],"unknown":"é\u00e9"} `
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.front.URL+"/v1/chat/completions?a=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Mine", "mine")
	for _, name := range []string{"Authorization", "X-Api-Key", "Cookie", "Origin"} {
		r.Header.Set(name, "secret")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if want := "POST /v1/chat/completions?a=b localhost " + body + "|mine|"; string(text) != want || answer.StatusCode != http.StatusTeapot {
		t.Errorf("passed on as %d %q, want %q", answer.StatusCode, text, want)
	}
	if h := answer.Header; h.Get("X-Engine") != "yes" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Rbee-Worker") != "w" || h.Get("X-Rbee-Hive") != "gpu1" {
		t.Errorf("headers %v", h)
	}
}

func TestAStreamArrivesAsItComes(t *testing.T) {
	f := newFarm(t)
	next := make(chan struct{})
	f.add("w", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	answer, err := http.Post(f.front.URL+"/v1/completions", "application/json", strings.NewReader(streamed)) //nolint:noctx // as above
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for i := range 3 {
		if lines.Scan(); lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Errorf("line %d is %q", i, lines.Text())
		}
		lines.Scan()
		next <- struct{}{}
	}
	if lines.Scan(); lines.Text() != "data: [DONE]" {
		t.Errorf("the last line is %q", lines.Text())
	}
}

func TestAWorkerThatFailsAtOnceIsPassedOverUnseen(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"it cuts the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"it is stopping":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"nobody listens":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.add("a", broken)
			if broken == nil {
				f.servers["a"] = nil
			}
			f.add("b", events("hello", "[DONE]"))
			for range 3 { // whichever is first
				if status, _, text := f.ask("/v1/completions", streamed); status != 200 || text != "data: hello\n\ndata: [DONE]\n\n" {
					t.Errorf("%d %q", status, text)
				}
			}
			if !slices.Contains(f.dialled, "gpu1/a") {
				t.Error("the broken one was never tried")
			}
		})
	}
}

func TestAWorkerWhoseModelIsDividedIsAskedOnceMore(t *testing.T) {
	for name, tt := range map[string]struct {
		failures int32
		status   int
		says     string
	}{
		"it has lost a part": {1, http.StatusOK, "data: hello\n\ndata: [DONE]\n\n"},
		"it loses it again":  {2, http.StatusServiceUnavailable, "the part of the model on hive gpu2 was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			var asked atomic.Int32
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= tt.failures {
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, "the part of the model on hive gpu2 was lost")
					return
				}
				events("hello", "[DONE]")(w, r)
			})
			f.mu.Lock()
			f.workers[0].Parts = []string{"gpu2"}
			f.mu.Unlock()
			f.tell()
			if status, _, text := f.ask("/v1/completions", streamed); status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %q", status, text)
			}
			if asked.Load() != 2 {
				t.Errorf("it was asked %d times", asked.Load())
			}
		})
	}
}

func TestAnEngineWithoutTheRouteIsToldOfInOpenAIsWords(t *testing.T) {
	for name, tt := range map[string]struct{ says, want string }{
		"in words of its own": {`{"detail":"Not Found"}`, `the model's engine has no /v1/rerank`},
		"in OpenAI's":         {`{"error":{"message":"no such thing"}}`, `{"error":{"message":"no such thing"}}`},
	} {
		f := newFarm(t)
		f.add("w", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, tt.says)
		})
		status, _, text := f.ask("/v1/rerank", `{"model":"bee"}`)
		var e failure
		if err := json.Unmarshal([]byte(text), &e); err != nil || status != 404 || e.Error.Message == "" || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	f := newFarm(t)
	if status, _, text := f.ask("/v1/images/generations", `{"model":"bee"}`); status != 404 || !strings.Contains(text, `"rbee has no /v1/images/generations`) {
		t.Errorf("images: %d %s", status, text)
	}
}

func TestAClientThatGoesEndsTheWorkersRequest(t *testing.T) {
	f := newFarm(t)
	began, ended := make(chan struct{}), make(chan struct{})
	f.add("w", func(w http.ResponseWriter, r *http.Request) {
		events("hello")(w, r)
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.front.URL+"/v1/completions", strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-began
	cancel()
	<-ended
}

func TestAModelThatNobodyHasLoadedIsStartedOnceForAll(t *testing.T) {
	f := newFarm(t)
	const clients = 8
	var arrived sync.WaitGroup
	arrived.Add(clients)
	starts := 0
	f.start = func(ctx context.Context, model string) (ops.Worker, error) {
		starts++
		ops.Narrate(ctx, "worker_start", "loading %s", model)
		arrived.Wait()
		return f.add("w", events("hello", "[DONE]")), nil
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			answer, err := http.Post(f.front.URL+"/v1/completions", "application/json", strings.NewReader(streamed)) //nolint:noctx // as above
			if err != nil {
				arrived.Done()
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			lines := bufio.NewScanner(answer.Body)
			if lines.Scan(); !strings.HasPrefix(lines.Text(), ": ") || !strings.HasSuffix(lines.Text(), "loading bee") {
				t.Errorf("first it is told %q", lines.Text())
			}
			arrived.Done()
			var rest []string
			for lines.Scan() {
				rest = append(rest, lines.Text())
			}
			if got := strings.Join(rest, "\n"); !strings.HasSuffix(got, "data: hello\n\ndata: [DONE]\n") {
				t.Errorf("then %q", got)
			}
		})
	}
	all.Wait()
	if starts != 1 {
		t.Errorf("started %d times", starts)
	}
}

func TestAStartThatFailsIsTold(t *testing.T) {
	f := newFarm(t)
	said := false
	f.start = func(ctx context.Context, _ string) (ops.Worker, error) {
		if said {
			ops.Narrate(ctx, "worker_start", "loading")
		}
		return ops.Worker{}, ops.Errorf(ops.CodeUnavailable, "bee takes 2 TiB of memory").WithHint("take a smaller model")
	}
	status, _, text := f.ask("/v1/completions", streamed)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "2 TiB of memory (take a smaller model)") {
		t.Errorf("%d %s", status, text)
	}
	said = true
	status, _, text = f.ask("/v1/completions", streamed)
	if status != 200 || !strings.Contains(text, `data: {"error":{"message":"bee takes 2 TiB`) {
		t.Errorf("after a comment: %d %s", status, text)
	}
	status, _, text = f.ask("/v1/completions", `{"model":"bee"}`)
	if status != http.StatusServiceUnavailable || strings.HasPrefix(text, ":") {
		t.Errorf("in one piece: %d %s", status, text)
	}
}

func TestWhatTheGatewayItselfRefuses(t *testing.T) {
	f := newFarm(t)
	f.add("w", events("[DONE]"))
	for _, tt := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"no JSON", "hello", 400, "not a JSON object"},
		{"a model that is no text", `{"model":7}`, 400, "model must be a text"},
		{"an unknown model", `{"model":"beee"}`, 404, `did you mean \"bee\"?`},
		{"a model whose file is broken", `{"model":"broken"}`, 404, "model_not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, h, text := f.ask("/v1/chat/completions", tt.body)
			var e failure
			if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error.Type != "invalid_request_error" || h.Get("Content-Type") != "application/json" {
				t.Errorf("not of OpenAI's shape: %s", text)
			}
			if status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %s, want %d %q", status, text, tt.status, tt.says)
			}
		})
	}
}

func TestTheModelsAreListedOnce(t *testing.T) {
	f := newFarm(t)
	f.models = append(f.models, ops.Model{ID: "bee", HiveID: "gpu2"}, ops.Model{ID: "ant"})
	w := f.add("w", events())
	w.ID, w.Model = "v", "wasp"
	f.workers = append(f.workers, w)
	get := func(path string) (int, string) {
		t.Helper()
		answer, err := http.Get(f.front.URL + path) //nolint:noctx // as above
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	_, text := get("/v1/models")
	var list struct{ Data []model }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	if !slices.Equal(ids, []string{"ant", "bee", "wasp"}) {
		t.Errorf("listed are %v", ids)
	}
	if status, text := get("/v1/models/bee"); status != 200 || !strings.Contains(text, `"id":"bee"`) {
		t.Errorf("bee: %d %s", status, text)
	}
	if status, text := get("/v1/models/bear"); status != 404 || !strings.Contains(text, "bee") {
		t.Errorf("bear: %d %s", status, text)
	}
}
