package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// loseAnswer cuts the connection after the request was read.
func loseAnswer(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestSubmitSendsALostRequestAgainUnderTheSameID(t *testing.T) {
	d := newDaemon(t)
	d.submit = func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			loseAnswer(w)
		case 2: // an answer that breaks off
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"job_id":`)
		default:
			writeJSON(w, http.StatusAccepted, ops.Accepted{JobID: "as the daemon says"})
		}
	}
	accepted, err := d.client(t).Submit(t.Context(), ops.Status{}, "")
	if err != nil || accepted.JobID != "as the daemon says" {
		t.Fatalf("Submit() = %+v, %v", accepted, err)
	}
	ids := d.submissions()
	if len(ids) != 3 || ids[0] != ids[1] || ids[0] != ids[2] {
		t.Fatalf("submitted under %q, want the same id three times", ids)
	}
	if err := ops.CheckJobID(ids[0]); err != nil {
		t.Error(err)
	}
}

func TestSubmitKeepsTheSubmittersID(t *testing.T) {
	d := newDaemon(t)
	accepted, err := d.client(t).Submit(t.Context(), ops.Status{}, jobID)
	if err != nil || accepted.JobID != jobID {
		t.Errorf("Submit() = %+v, %v", accepted, err)
	}
}

func TestSubmitDoesNotRepeatWhatWasRefused(t *testing.T) {
	for _, refusal := range []*ops.Error{
		ops.Invalid("prompt", "must not be empty").WithHint("say something"),
		ops.Errorf(ops.CodeConflict, "the job id belongs to another operation"),
		ops.Errorf(ops.CodeUnavailable, "the hive is stopping"),
	} {
		t.Run(string(refusal.Code), func(t *testing.T) {
			d := newDaemon(t)
			d.submit = func(_ int, w http.ResponseWriter) { writeJSON(w, refusal.Code.HTTPStatus(), refusal) }
			_, err := d.client(t).Submit(t.Context(), ops.Status{}, jobID)
			e, ok := errors.AsType[*ops.Error](err)
			if !ok || e.Code != refusal.Code || e.Field != refusal.Field || e.Hint != refusal.Hint || e.Message != refusal.Message {
				t.Errorf("Submit() = %#v, want %#v", err, refusal)
			}
			if errors.Is(err, transport.ErrUnreachable) {
				t.Error("the error says that nobody answered")
			}
			if n, _, _ := d.counts(); n != 1 {
				t.Errorf("submitted %d times, want once", n)
			}
		})
	}
}

func TestWhereNobodyListensSubmitFailsAtTheFirstAttempt(t *testing.T) {
	for name, path := range map[string]string{
		"no socket":       filepath.Join(t.TempDir(), "none.sock"),
		"no listener":     deadSocket(t),
		"no such address": "",
	} {
		t.Run(name, func(t *testing.T) {
			o := transport.Options{BaseURL: "http://127.0.0.1:1"}
			if path != "" {
				o = transport.Unix(path)
			}
			if o.DialContext == nil {
				o.DialContext = (&net.Dialer{}).DialContext
			}
			dial, dials := o.DialContext, 0
			o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials++
				return dial(ctx, network, address)
			}
			o.Name = "the queen"
			c := transport.New(o)
			defer c.Close()
			_, err := c.Submit(t.Context(), ops.Status{}, jobID)
			if !errors.Is(err, transport.ErrUnreachable) || ops.CodeOf(err) != ops.CodeUnavailable {
				t.Errorf("Submit() = %v (%s), want ErrUnreachable", err, ops.CodeOf(err))
			}
			if !strings.HasPrefix(err.Error(), "the queen cannot be reached: dial ") {
				t.Errorf("the error is %q", err)
			}
			if dials != 1 {
				t.Errorf("dialled %d times, want once", dials)
			}
		})
	}
}

// deadSocket is the path of a socket whose process has ended.
func deadSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSubmitGivesUpWhenNoAnswerArrivesWithinItsPatience(t *testing.T) {
	d := newDaemon(t)
	d.submit = func(_ int, w http.ResponseWriter) { loseAnswer(w) }
	c := d.client(t, func(o *transport.Options) { o.Patience = 50 * time.Millisecond })
	_, err := c.Submit(t.Context(), ops.Status{}, jobID)
	if !errors.Is(err, transport.ErrUnreachable) {
		t.Errorf("Submit() = %v, want ErrUnreachable", err)
	}
	if n, _, _ := d.counts(); n < 2 {
		t.Errorf("submitted %d times, want more than once", n)
	}
}

func TestARequestWithoutAnswerEndsWithItsPatience(t *testing.T) {
	d := newDaemon(t)
	d.submit = func(int, http.ResponseWriter) { <-d.closing }
	c := d.client(t, func(o *transport.Options) { o.Patience = 20 * time.Millisecond })
	err := c.Post(t.Context(), "/v1/jobs", map[string]string{"operation": "status"}, nil)
	if !errors.Is(err, transport.ErrUnreachable) || !strings.Contains(err.Error(), "no answer within 20ms") {
		t.Errorf("Post() = %v", err)
	}
}

func TestASubmissionThatIsCancelledBeforeItsAnswerIsCancelledThere(t *testing.T) {
	d := newDaemon(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the person pressed Ctrl-C")
	d.submit = func(int, http.ResponseWriter) {
		cancel(why)
		<-d.closing
	}
	if _, err := d.client(t).Submit(ctx, ops.Status{}, jobID); !errors.Is(err, why) {
		t.Errorf("Submit() = %v, want %v", err, why)
	}
	if got := d.cancellations(); !slices.Equal(got, []string{jobID}) {
		t.Errorf("cancelled %q, want the job", got)
	}
}

func TestCallsAnswerWithWhatTheDaemonSays(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, ops.Health{Status: "ok", Mode: "queen"})
	})
	mux.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			writeJSON(w, http.StatusUnauthorized, ops.Errorf(ops.CodeDenied, "a bearer token is wanted"))
			return
		}
		writeJSON(w, http.StatusOK, ops.Jobs{Jobs: []ops.Job{{ID: jobID}}})
	})
	mux.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, ops.Job{ID: r.PathValue("id")})
	})
	mux.HandleFunc("POST /v1/thing", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		writeJSON(w, http.StatusOK, map[string]string{"got": r.Header.Get("Content-Type") + string(body)})
	})
	mux.HandleFunc("/rbee/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, ops.Errorf(ops.CodeNotFound, "there is no such route"))
	})
	mux.HandleFunc("POST /v1/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>hello") })
	d := &daemon{Server: httptest.NewServer(mux)}
	defer d.Close()
	c := d.client(t, func(o *transport.Options) { o.Token = "secret" })
	ctx := t.Context()

	if h, err := c.Health(ctx); err != nil || h.Mode != "queen" {
		t.Errorf("Health() = %+v, %v", h, err)
	}
	if list, err := c.Jobs(ctx); err != nil || len(list.Jobs) != 1 || list.Jobs[0].ID != jobID {
		t.Errorf("Jobs() = %+v, %v", list, err)
	}
	if _, err := d.client(t).Jobs(ctx); ops.CodeOf(err) != ops.CodeDenied {
		t.Errorf("Jobs() without the token = %v, want denied", err)
	}
	if j, err := c.Job(ctx, "a/../b?c"); err != nil || j.ID != "a/../b?c" {
		t.Errorf("Job() = %+v, %v; want the id as it was given", j, err)
	}
	var out map[string]string
	if err := c.Post(ctx, "/v1/thing", map[string]int{"a": 1}, &out); err != nil || out["got"] != `application/json{"a":1}` {
		t.Errorf("Post() = %v, %v", out, err)
	}
	if err := c.Post(ctx, "/v1/page", nil, &out); ops.CodeOf(err) != ops.CodeInternal || !strings.Contains(err.Error(), "rbee's protocol") {
		t.Errorf("Post() to another program = %v", err)
	}
	if _, err := d.client(t, func(o *transport.Options) { o.BaseURL += "/rbee" }).Job(ctx, "a"); !strings.Contains(ops.AsError(err).Hint, "ends in /rbee") {
		t.Errorf("Job() below a path = %v, which does not name the path", err)
	}
	if err := c.Post(ctx, "/v1/thing", make(chan int), nil); err == nil {
		t.Error("Post() of what is no JSON succeeded")
	}
	if _, err := d.client(t, func(o *transport.Options) { o.BaseURL = "http://a b" }).Health(ctx); ops.CodeOf(err) != ops.CodeInvalid {
		t.Errorf("Health() at no address = %v, want invalid", err)
	}
}

func TestTheDiallersOwnErrorIsTold(t *testing.T) {
	why := ops.Errorf(ops.CodeUnavailable, "the hive ended while starting").WithHint("its log is hive.log")
	c := transport.New(transport.Options{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, why }})
	defer c.Close()
	if _, err := c.Submit(t.Context(), ops.Status{}, jobID); !errors.Is(err, why) {
		t.Errorf("Submit() = %v, want %v", err, why)
	}
}
