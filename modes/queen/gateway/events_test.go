package gateway

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// TestAnErrorInTheMiddleOfAStreamSaysWhoseItIs: in each dialect and form of an engine's, and
// for whoever asks why.
func TestAnErrorInTheMiddleOfAStreamSaysWhoseItIs(t *testing.T) {
	const (
		begun = "data: " + `{"id":"1","choices":[{"delta":{"content":"hel"},"text":"hel"}]}` + "\n\n"
		whose = "worker a of gpu1, which runs bee: CUDA out of memory"
		told  = whose + " (where it goes on failing, `rbee worker delete a --hive gpu1` ends it)"
	)
	shapes := map[string]string{
		"/v1/completions": `data: {"error":{"message":"` + told, "/v1/messages": `"message":"` + told, "/api/chat": `{"error":"` + told,
		"/v1/responses": `"message":"` + told,
	}
	for name, pieces := range map[string][]string{
		"as OpenAI has it":  {begun, `data: {"error":{"message":"CUDA out of memory","type":"server_error","code":500}}` + "\n\n"},
		"as a text":         {begun, `data: {"error":"CUDA out of memory"}` + "\n\n", "data: [DONE]\n\n"},
		"as vLLM had it":    {begun, `data: {"object": "error", "message":"CUDA out of memory","code":500}` + "\r\n\r\n"},
		"with the text":     {begun + `data: {"error":{"message":"CUDA out of memory"}}` + "\n\ndata: [DONE]\n\n"},
		"in pieces":         {begun, `data: {"err`, `or":{"message":"CUDA out `, `of memory"}}` + "\n", "\n"},
		"in a long line":    {begun, `data: {"error":{"code":500,"trace":"` + strings.Repeat("x", 5<<10) + `",`, `"more":"` + strings.Repeat("y", 3<<10) + `","message":"CUDA out of memory"}}` + "\n\n"},
		"as its last bytes": {begun, `data: {"error":{"message":"CUDA out of memory"}}`},
	} {
		for path, shape := range shapes {
			t.Run(name+path, func(t *testing.T) {
				f := newFarm(t)
				f.add("a", bytesOf(pieces...))
				_, header, text := f.ask(path, askOf("true"))
				if !strings.Contains(text, shape) || strings.Count(text, "CUDA") != 1 || path == "/v1/completions" && !strings.HasPrefix(text, begun) {
					t.Errorf("%q", text)
				}
				if x := f.over(header); x.Ended != ops.EndedBroken || x.Error != whose || x.Hint == "" || len(x.Decisions) != 1 || x.Decisions[0].Failed != whose {
					t.Errorf("it is explained by %+v", x)
				}
			})
		}
	}
}

// TestAResponseThatFailsSaysWhoseItIs: its last event, of which the rest is as it was.
func TestAResponseThatFailsSaysWhoseItIs(t *testing.T) {
	const created = "event: response.created\n" + `data: {"type":"response.created","response":{"id":"r","object":"response","error":null}}` + "\n\n"
	const hint = "where it goes on failing, `rbee worker delete a --hive gpu1` ends it"
	for said, want := range map[string]string{
		`{"id":"r","object":"response","error":{"code":"server_error","message":"CUDA out of memory"}}`: `{"error":{"code":"server_error","hint":"` + hint +
			`","message":"worker a of gpu1, which runs bee: CUDA out of memory (` + hint + `)"},"id":"r","object":"response"}`,
		`{"id":"r","error":null}`: `{"error":{"hint":"` + hint +
			`","message":"worker a of gpu1, which runs bee: the engine has failed, and does not say why (` + hint + `)"},"id":"r"}`,
		`{"id":"r","error":{"code":"invalid","message":"too long"}}`: `{"id":"r","error":{"code":"invalid","message":"too long"}}`,
	} {
		f := newFarm(t)
		f.add("a", bytesOf(created, "event: response.failed\n"+`data: {"type":"response.failed","response":`+said+`,"sequence_number":3}`+"\n\n"))
		_, header, text := f.ask("/v1/responses", askOf("true"))
		rest, ok := strings.CutPrefix(text, created+"event: response.failed\ndata: ")
		if !ok || !strings.Contains(rest, want) || !strings.Contains(rest, `"sequence_number":3`) || !strings.HasSuffix(rest, "}\n\n") {
			t.Errorf("of %s: %q", said, text)
		}
		if x := f.over(header); x.Ended != ops.EndedBroken || x.Error == "" {
			t.Errorf("%s is explained by %+v", said, x)
		}
	}
}

// TestALongErrorThatIsAllThereIsIsAskedForElsewhere, as a short one is.
func TestALongErrorThatIsAllThereIsIsAskedForElsewhere(t *testing.T) {
	f := newFarm(t)
	f.add("a", bytesOf(`data: {"error":{"message":"`+strings.Repeat("x", 9<<10)+`","code":500}}`+"\n\n"))
	f.add("b", bytesOf("data: hello\n\ndata: [DONE]\n\n"))
	if _, header, text := f.ask("/v1/completions", streamed); header.Get("X-Rbee-Worker") != "b" || !strings.Contains(text, "hello") || strings.Contains(text, "error") {
		t.Errorf("%.200q by %s", text, header.Get("X-Rbee-Worker"))
	}
}

// TestAFailureNamesTheWorkerInItsHeader: also of one that has said nothing that could be
// passed on.
func TestAFailureNamesTheWorkerInItsHeader(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<p>")
		},
		"what is no JSON":  says("hello"),
		"nothing":          says(""),
		"a broken answer":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an error, busy":   boomed(http.StatusServiceUnavailable),
		"an error, inside": boomed(http.StatusInternalServerError),
	} {
		for path := range asks {
			f := newFarm(t)
			f.add("a", h)
			status, header, text := f.ask(path, askOf("false"))
			if status < 500 || header.Get("X-Rbee-Worker") != "a" || header.Get("X-Rbee-Hive") != "gpu1" || !strings.Contains(text, "worker a of gpu1") {
				t.Errorf("%s of %s: %d %s %v", name, path, status, text, header)
			}
		}
	}
	f := newFarm(t) // without a worker nobody is named
	if status, header, _ := f.ask("/v1/completions", `{"model":"bee"}`); status != http.StatusServiceUnavailable || header.Get("X-Rbee-Worker") != "" {
		t.Errorf("%d %v", status, header)
	}
}

// boomed answers with an error in OpenAI's form.
func boomed(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"message":"boom","type":"server_error"}}`)
	}
}

// TestWhatIsNoErrorOfAnEnginesPassesAsItIs: nor what is the request's own, whatever size it
// comes in.
func TestWhatIsNoErrorOfAnEnginesPassesAsItIs(t *testing.T) {
	for name, stream := range map[string]string{
		"the request's own fault": "data: hello\n\n" + `data: {"error":{"message":"too long","type":"invalid_request_error","code":400}}` + "\n\n",
		"no error":                `data: {"choices":[{"text":"a"}],"error":null}` + "\n\ndata: [DONE]\n\n",
		"a text":                  `data: {"choices":[{"text":"\"error\":{\"message\":\"x\"}"}]}` + "\n\ndata: [DONE]\n\n",
		"a long line":             `data: {"choices":[{"text":"` + strings.Repeat("x", 3<<12) + `"}]}` + "\r\n\r\ndata: [DONE]\n\n",
		"a long line with a name": `data: {"choices":[{"text":"` + strings.Repeat("x", 3<<12) + `"}],"error":null}` + "\n\ndata: [DONE]\n\n",
		"no last line":            "data: hello\n\ndata: [DONE]",
		"an API's own failure":    `data: {"object":"response","status":"failed","error":{"message":"x"}}` + "\n\ndata: [DONE]\n\n",
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			f := newFarm(t)
			f.add("a", func(w http.ResponseWriter, r *http.Request) {
				var pieces []string
				for piece := range slices.Chunk([]byte(stream), size) {
					pieces = append(pieces, string(piece))
				}
				bytesOf(pieces...)(w, r)
			})
			if _, _, text := f.ask("/v1/completions", streamed); text != stream {
				t.Errorf("%s, by %d bytes: %q", name, size, text)
			}
		}
	}
}

// TestAnErrorInNoFormOfOpenAIsIsToldInTheDialects: of a proxy before the engine, or another
// API's.
func TestAnErrorInNoFormOfOpenAIsIsToldInTheDialects(t *testing.T) {
	const whose = "worker a of gpu1, which runs bee: "
	const words = "<html><h1>oops</h1>\n<p>a\tpage</p></html>"
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", strconv.Itoa(len(words)))
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, words)
	}
	for path, shape := range asks {
		for _, stream := range []string{"true", "false"} {
			f := newFarm(t)
			f.add("a", page)
			status, header, text := f.ask(path, askOf(stream))
			if status != http.StatusServiceUnavailable || header.Get("Content-Type") != "application/json" || header.Get("Retry-After") != "7" || header.Get("X-Rbee-Worker") != "a" {
				t.Errorf("%s: %d %v", path, status, header)
			}
			if !strings.Contains(text, shape) || !strings.Contains(text, whose+"oops a page") || strings.Contains(text, "<") {
				t.Errorf("%s: %s", path, text)
			}
		}
	}
	for said, want := range map[string]struct {
		status int
		told   string
	}{
		"":                                     {500, `{"error":{"message":"` + whose + `the engine answers 500 Internal Server Error (`},
		`{"error":"boom"}`:                     {500, `{"error":{"message":"` + whose + `boom (`},
		`{"detail":"boom"}`:                    {422, `{"error":{"message":"boom","type":"invalid_request_error","param":null,"code":"invalid"}}`},
		"too\nmany":                            {429, `{"error":{"message":"` + whose + `too many","type":"requests","param":null,"code":"rate_limit_exceeded"}}`},
		strings.Repeat("<p>long</p>", maxKept): {400, `{"error":{"message":"long long`},
	} {
		f := newFarm(t)
		f.add("a", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(want.status)
			_, _ = io.WriteString(w, said)
		})
		if status, _, text := f.ask("/v1/completions", `{"model":"bee"}`); status != want.status || !strings.HasPrefix(text, want.told) {
			t.Errorf("of %.50q: %d %s", said, status, text)
		}
	}
}
