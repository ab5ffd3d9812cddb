package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// key names a worker within the fleet.
type key = schedule.Key

// PriorityHeader is the header of a request that says how urgent it is:
// interactive, or batch.
const PriorityHeader = "X-Rbee-Priority"

const (
	// maxBody bounds a request's body, in bytes: images come in it.
	maxBody = 64 << 20
	// againAfter is when what nobody can do now, as where all is drained, is worth
	// another try.
	againAfter = 5 * time.Second
	// attempts is how many workers a request is tried on before its first byte.
	attempts = 3
)

// Routes are the paths that the gateway answers, as patterns of echo's.
var Routes = []struct{ Method, Path string }{
	{http.MethodGet, "/v1/models"},
	{http.MethodGet, "/v1/models/*"},
	{http.MethodHead, "/v1/models"},
	{http.MethodHead, "/v1/models/*"},
	{http.MethodPost, "/v1/chat/completions"},
	{http.MethodPost, "/v1/completions"},
	{http.MethodPost, "/v1/embeddings"},
	{http.MethodPost, "/v1/responses"},
	{http.MethodPost, "/v1/rerank"},
	{http.MethodPost, "/v1/messages"},
	{http.MethodPost, "/v1/messages/count_tokens"},
	{http.MethodGet, "/"}, // by which Ollama's clients look whether it is there
	{http.MethodHead, "/"},
	{http.MethodGet, "/api/*"},
	{http.MethodHead, "/api/*"},
	{http.MethodPost, "/api/*"},
	{http.MethodDelete, "/api/*"},
	// What clients of OpenAI's API ask for and no engine has is refused in its words.
	{http.MethodPost, "/v1/audio/*"},
	{http.MethodPost, "/v1/images/*"},
	{http.MethodPost, "/v1/moderations"},
	{http.MethodPost, "/v1/files"},
	{http.MethodPost, "/v1/batches"},
}

// routesHint names what there is of OpenAI's API.
const routesHint = "there are chat/completions, completions, embeddings, responses, rerank, messages and models"

// elsewhere is the beginnings of the paths that no engine has.
var elsewhere = []string{"/v1/audio/", "/v1/images/", "/v1/moderations", "/v1/files", "/v1/batches"}

// Gateway answers OpenAI's API, and Anthropic's and Ollama's by translation,
// from the workers of a fleet.
type Gateway struct {
	fleet    Fleet
	schedule *schedule.Scheduler
	pool     conns
	arrivals arrivals        // of models that are brought
	life     context.Context //nolint:containedctx // of the arrivals, which outlive requests
	end      context.CancelFunc

	quietAfter time.Duration // see there

	present     presence
	requests    context.Context //nolint:containedctx // ends all requests, see [Gateway.End]
	endRequests context.CancelCauseFunc
}

// New makes a gateway whose requests s gives to workers; the caller closes it.
func New(f Fleet, s *schedule.Scheduler) *Gateway {
	g := &Gateway{fleet: permitted{f}, schedule: s, quietAfter: quietAfter}
	g.life, g.end = context.WithCancel(context.Background())
	g.requests, g.endRequests = context.WithCancelCause(context.Background())
	g.pool.dial = f.Dial
	return g
}

// Close ends what the gateway itself has begun, and waits for it. Requests end
// by [Gateway.End], or with the server that hands them over.
func (g *Gateway) Close() {
	g.end()
	g.arrivals.work.Wait()
	g.endRequests(nil)
	g.pool.close()
}

// ServeHTTP answers one of [Routes].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, answered := g.attend(r)
	defer answered()
	if r.Method == http.MethodHead { // whose answer has no body, which the server sees to
		r.Method = http.MethodGet
	}
	switch {
	case r.URL.Path == "/":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "Ollama is running") // its own words, which clients look for; the client may be gone
	case strings.HasPrefix(r.URL.Path, "/api/"):
		g.serveOllama(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/messages"):
		g.serveAnthropic(w, r)
	case slices.ContainsFunc(elsewhere, func(path string) bool { return strings.HasPrefix(r.URL.Path, path) }):
		fail(w, ops.Errorf(ops.CodeNotFound, "rbee has no %s", r.URL.Path).
			WithHint(routesHint))
	case r.Method == http.MethodPost:
		g.serve(w, r)
	case r.URL.Path == "/v1/models":
		g.serveModels(w, r)
	default:
		g.serveModel(w, r)
	}
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r)
	if err != nil {
		refuseFor(r.Context(), w, err)
		return
	}
	g.answer(w, r, body)
}

// JobHeader is the header of an answer that names the request, for `rbee explain`.
const JobHeader = "X-Rbee-Job"

// ModelHeader is the header of an answer that names the model, where the request
// has left the choice to us.
const ModelHeader = "X-Rbee-Model"

// answer has a request answered, where it may be.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	a, err := scan(body)
	if err != nil {
		refuseFor(r.Context(), w, ops.Invalid("", "%w", err))
		return
	}
	a, body = g.alias(r.Context(), a, body)
	err = permits(r.Context(), a.model)
	if err != nil && a.alias != "" { // what it means is not told
		err = cmp.Or(permits(r.Context(), a.alias), err)
	}
	if err == nil {
		err = reserve(r, a, len(body))
	}
	if err != nil {
		refuseFor(r.Context(), w, err)
		return
	}
	w, used := metered(w, r, a, len(body))
	broken := true // unless it comes to its end
	defer func() { used(broken) }()
	g.find(w, r, body, a)
	broken = false
}

// find has a worker answer, of the model that the request means.
func (g *Gateway) find(w http.ResponseWriter, r *http.Request, body []byte, a asked) {
	var err error
	want := schedule.Request{Job: rand.Text(), Model: a.model, Alias: a.alias, Client: clientOf(r), Route: r.URL.Path, Prefixes: schedule.Prefixes(a.prompt)}
	if want.Priority, err = ops.ParsePriority(r.Header.Get(PriorityHeader)); err != nil {
		if e, ok := errors.AsType[*ops.Error](err); ok {
			e.Field = PriorityHeader
		}
		fail(w, err)
		return
	}
	if err := checkResume(r); err != nil {
		fail(w, err)
		return
	}
	w.Header().Set(JobHeader, want.Job)
	p := newReply(w, r, a.stream)
	p.resume = newResumption(r, a)
	defer func() {
		how, why := p.over()
		over(w, how)
		g.schedule.End(want.Job, how, why)
	}()
	if ops.IsModelReference(a.model) {
		g.schedule.Bring(want)
	}
	if a, body, err = g.bring(r.Context(), a, body, p.say); err == nil {
		err = g.checkImages(r.Context(), a)
	}
	if err != nil {
		g.schedule.Refuse(want, err)
		p.fail(err)
		return
	}
	means(w, a.model, false)
	want.Model = a.model
	g.try(p, r, body, want)
}

// acquire has the scheduler lend a worker, also of a model that somebody has put on a
// hive's disk a moment ago.
func (g *Gateway) acquire(ctx context.Context, want schedule.Request) (*schedule.Lease, error) {
	lease, err := g.schedule.Acquire(ctx, want)
	if ops.CodeOf(err) == ops.CodeNotFound && g.fleet.JustPut(ops.WithSink(ctx, nil), want.Model) {
		return g.schedule.Acquire(ctx, want)
	}
	return lease, err
}

// try has a worker answer. One that fails before the first byte is passed over
// for another, unseen; one whose model is divided, or that a person has started with
// settings of its own, is asked once more. Where an engine says that it has failed and
// no worker is left, that is the answer.
func (g *Gateway) try(p *reply, r *http.Request, body []byte, want schedule.Request) {
	ctx := ops.WithSink(r.Context(), p)
	once := false
	var err, first error // first is the first of an engine's
	var of, firstOf *ops.Worker
	for range attempts {
		lease, failed := g.acquire(ctx, want)
		if failed != nil {
			if err == nil || ops.CodeOf(failed) != ops.CodeUnavailable { // else it says more than that there is no other
				err, of = g.named(r.Context(), want.Model, failed), nil
			}
			if ops.CodeOf(err) == ops.CodeUnavailable {
				err = LaterError{Err: err, After: againAfter}
			}
			break
		}
		means(p.w, lease.Worker.Model, true)
		if model := lease.Worker.Model; model != want.Model {
			p.w.Header().Set(ModelHeader, model)
		}
		if again, ok := errors.AsType[brokenOff](err); ok {
			p.say(again.elsewhere(lease.Key()))
		}
		of = &lease.Worker
		err = g.relayOn(p, r, body, lease, &want)
		if err == nil {
			if _, ours := errors.AsType[ended](p.failed); p.failed != nil && !p.gone && !ours {
				g.schedule.Failed(want.Job, p.failed)
			}
			return
		}
		if r.Context().Err() != nil {
			if err = whyEnded(r.Context()); err == nil {
				p.gone = true
				return
			}
			break
		}
		g.schedule.Failed(want.Job, err)
		want.Again = true
		if schedule.FaultOf(err) == schedule.OfEngine {
			first, firstOf, want.Running = cmp.Or(first, err), cmp.Or(firstOf, of), true // it may be the request: none is started for it
		}
		if len(lease.Worker.Parts) > 0 { // there is no other, and its error names the machine
			if once || first != nil {
				break
			}
			once = true
			continue
		}
		if schedule.FaultOf(err) == schedule.OfWorker && g.schedule.Doubt(&want, lease.Key()) {
			continue
		}
		want.Exclude(lease.Key(), err)
	}
	err, of = cmp.Or(first, err), cmp.Or(firstOf, of)
	g.schedule.Refuse(want, err)
	if kept, ok := errors.AsType[*failedAnswer](err); ok {
		kept.give(p)
		return
	}
	if of != nil && !p.begun {
		p.from(of)
	}
	p.fail(err)
}

// named is err with the names that the request could have meant: a guest is told
// of no models but those that he may use. A model that is broken is told as it is.
func (g *Gateway) named(ctx context.Context, model string, err error) error {
	broken := func(m ops.Model) bool { return m.ID == model && m.Error != "" }
	if ops.CodeOf(err) != ops.CodeNotFound || slices.ContainsFunc(g.fleet.Models(ctx), broken) {
		return told(ctx, err)
	}
	return g.unknown(ctx, model)
}

// relayOn is relay by a worker that was lent.
func (g *Gateway) relayOn(p *reply, r *http.Request, body []byte, lease *schedule.Lease, want *schedule.Request) error {
	defer lease.Release() // also when the answer is broken off by a panic
	return g.relay(p, r, body, &lease.Worker, want)
}

// relay has a worker answer what others may have failed. Its error says that another
// may do so, or go on.
func (g *Gateway) relay(p *reply, r *http.Request, body []byte, by *ops.Worker, want *schedule.Request) error {
	waits := p.atWork(by, g.quietAfter)
	answer, err := g.hear(r, body, by, p.stream)
	waits.end()
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		g.schedule.Answered(want)
	}
	return p.pass(answer, by)
}

// hear waits for the beginning of a worker's answer, of which a stream was asked for or
// not. Its error says that another may do what this one has not.
func (g *Gateway) hear(r *http.Request, body []byte, by *ops.Worker, stream bool) (*http.Response, error) {
	answer, err := g.pool.ask(r.Context(), schedule.KeyOf(*by), r, body)
	switch {
	case errors.Is(err, errHangs):
		return nil, ops.Errorf(ops.CodeUnavailable, "worker %s of %s does not answer", by.ID, by.HiveID).WithHint("%s", ops.HungHint(by.ID, by.HiveID))
	case errors.Is(err, ssh.ErrLost):
		return nil, unreached(by)
	case errors.Is(err, errSilent):
		return nil, ops.Errorf(ops.CodeUnavailable, "worker %s of %s %w", by.ID, by.HiveID, errSilent).WithHint(askAgain)
	case err != nil:
		return nil, ops.Errorf(ops.CodeUnavailable, "worker %s of %s cannot be reached: %w", by.ID, by.HiveID, err)
	}
	opened := answer.Body
	switch {
	case answer.StatusCode != http.StatusOK:
		err = refusal(answer, by)
	case isPage(answer.Header):
		err = senseless(by, ops.Errorf(ops.CodeInternal, "it answers with a page, which is no answer of a model's"))
	default:
		err = open(answer, by, stream && makesText(r.URL.Path))
	}
	if err != nil {
		_ = opened.Close() // it was read as far as it matters
		return nil, err
	}
	return answer, nil
}

// senseless is the error of a worker whose answer is none.
func senseless(by *ops.Worker, why *ops.Error) error {
	return senselessError{schedule.ByWorker(why, by)}
}

// senselessError says that a worker's answer is none, which is not the queen's fault.
type senselessError struct{ error }

// Unwrap is what is told of it.
func (e senselessError) Unwrap() error { return e.error }
