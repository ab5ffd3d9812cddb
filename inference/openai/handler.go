package openai

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 16 << 20

// Handler serves a model over the API.
type Handler struct {
	model     string
	generator Generator
	mux       http.ServeMux
}

// NewHandler serves the generator under the model's name.
func NewHandler(model string, g Generator) *Handler {
	h := &Handler{model: model, generator: g}
	h.mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { h.complete(w, r, chatForm) })
	h.mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { h.complete(w, r, textForm) })
	h.mux.HandleFunc("POST /v1/embeddings", h.embed)
	h.mux.HandleFunc("GET /v1/models", h.models)
	h.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		err := ops.Errorf(ops.CodeNotFound, "this engine has no %s %s", r.Method, r.URL.Path)
		if r.URL.Path == "/v1/responses" {
			err = ops.Errorf(ops.CodeNotFound, "this engine has no /v1/responses: ask /v1/chat/completions, or have `rbee worker spawn MODEL --engine llamacpp` run the model on one that has it")
		}
		fail(w, err)
	})
	return h
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "data": []map[string]any{{"id": h.model, "object": "model", "owned_by": "rbee"}},
	})
}

// form is what differs between chat and text completions.
type form struct {
	id, whole, chunk string
	read             func(call, *Request) error
	choice           func(text string, whole bool) choice
}

var chatForm = form{
	id: "chatcmpl-", whole: "chat.completion", chunk: "chat.completion.chunk",
	read: func(c call, r *Request) (err error) {
		r.Template = c.Template
		r.Messages, err = c.messages()
		return err
	},
	choice: func(text string, whole bool) choice {
		if whole {
			return choice{Message: &turn{Role: "assistant", Content: text}}
		}
		return choice{Delta: &turn{Content: text}}
	},
}

var textForm = form{
	id: "cmpl-", whole: "text_completion", chunk: "text_completion",
	read: func(c call, r *Request) error {
		list, err := texts(c.Prompt, "prompt", 1)
		if err != nil {
			return err
		}
		if len(list) == 0 || list[0] == "" {
			return ops.Invalid("prompt", "must be a text that is not empty")
		}
		r.Prompt = list[0]
		return nil
	},
	choice: func(text string, _ bool) choice { return choice{Text: &text} },
}

func (h *Handler) complete(w http.ResponseWriter, r *http.Request, f form) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, unread(err))
		return
	}
	c, err := decodeCall(body)
	if err != nil {
		fail(w, err)
		return
	}
	request, err := c.request()
	if err == nil {
		err = f.read(c, &request)
	}
	stops, stopErr := texts(c.Stop, "stop", 16)
	if err = first(err, stopErr); err != nil {
		fail(w, err)
		return
	}
	reply := &reply{w: w, form: f, stream: c.Stream, usage: c.StreamOptions.IncludeUsage, head: answer{
		ID: f.id + rand.Text(), Created: time.Now().Unix(), Model: h.model,
	}}
	h.generate(r.Context(), reply, request, stops)
}

// generate runs the request and answers with what it makes.
func (h *Handler) generate(ctx context.Context, reply *reply, request Request, stops []string) {
	stop := stopper{stops: notEmpty(stops)}
	stopped := false
	clock := timings{began: time.Now()}
	outcome, err := h.generator.Generate(ctx, request, func(text string) error {
		clock.piece()
		var ready string
		if ready, stopped = stop.next(text); ready != "" {
			if err := reply.text(ready); err != nil {
				return err
			}
		}
		if stopped {
			return ErrEnough
		}
		return nil
	})
	switch {
	case stopped:
		outcome.Finish, outcome.Stop = FinishStop, stop.met
	case err != nil:
		reply.fail(err)
		return
	default:
		if rest := stop.rest(); rest != "" && reply.text(rest) != nil {
			return // the client is gone
		}
	}
	clock.end(outcome)
	reply.finish(outcome, &clock)
}

func notEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// reply writes one answer, whole or as a stream. A stream's head goes out with
// its first byte, so that what fails before it can still have a status.
type reply struct {
	w      http.ResponseWriter
	form   form
	stream bool
	usage  bool
	head   answer
	all    strings.Builder
	begun  bool
}

func (p *reply) text(text string) error {
	if !p.stream {
		p.all.WriteString(text)
		return nil
	}
	c := p.form.choice(text, false)
	if !p.begun && c.Delta != nil {
		c.Delta.Role = "assistant"
	}
	return p.send(c, nil)
}

// send writes one chunk of a stream.
func (p *reply) send(c choice, t *timings) error {
	chunk := p.head
	chunk.Object, chunk.Choices, chunk.Timings = p.form.chunk, []choice{c}, t
	return p.event(chunk)
}

func (p *reply) event(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", "text/event-stream")
		p.w.Header().Set("Cache-Control", "no-store")
	}
	if _, err := p.w.Write(append(append([]byte("data: "), data...), "\n\n"...)); err != nil {
		return err
	}
	return http.NewResponseController(p.w).Flush()
}

// fail ends the answer with an error: a status while nothing was sent, else a
// chunk of its own and no [DONE].
func (p *reply) fail(err error) {
	if !p.begun {
		fail(p.w, err)
		return
	}
	_, body := toFailure(err)
	_ = p.event(body) // the client may be gone, which may be the failure
}

func (p *reply) finish(o Outcome, t *timings) {
	u := &usage{PromptTokens: o.PromptTokens, CompletionTokens: o.CompletionTokens, TotalTokens: o.PromptTokens + o.CompletionTokens}
	if !p.stream {
		whole := p.head
		c := p.form.choice(p.all.String(), true)
		c.FinishReason, c.StopReason = &o.Finish, o.Stop
		whole.Object, whole.Choices, whole.Usage, whole.Timings = p.form.whole, []choice{c}, u, t
		writeJSON(p.w, http.StatusOK, whole)
		return
	}
	last := p.form.choice("", false)
	last.FinishReason, last.StopReason = &o.Finish, o.Stop
	if p.send(last, t) != nil {
		return
	}
	if p.usage {
		counted := p.head
		counted.Object, counted.Choices, counted.Usage = p.form.chunk, []choice{}, u
		if p.event(counted) != nil {
			return
		}
	}
	_, _ = io.WriteString(p.w, "data: [DONE]\n\n")
}

func fail(w http.ResponseWriter, err error) {
	status, body := toFailure(err)
	writeJSON(w, status, body)
}

// errTooLarge is of a body larger than maxBody.
var errTooLarge = ops.Invalid("", "the body is larger than %d MiB, which is the most that this engine takes", maxBody>>20)

// unread is why a body could not be read.
func unread(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return errTooLarge
	}
	return ops.Invalid("", "the body cannot be read: its connection broke off")
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}
