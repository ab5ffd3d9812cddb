package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/job/jobtest"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// secret is the token of the queens of these tests.
const secret = "a-token-of-tests"

// client is a keeper of a queen that runs operations as a test wants, and what it
// has printed.
type client struct {
	*Keeper
	queen     *jobtest.Server[ops.Op]
	out, said *bytes.Buffer
}

func newClient(t *testing.T, run func(context.Context, ops.Op) (any, error)) client {
	t.Helper()
	queen := jobtest.Serve(t, run, func(o *job.Options[ops.Op]) { o.Token = secret })
	var out, said bytes.Buffer
	root := t.TempDir()
	k := &Keeper{
		Flags: Flags{Queen: strings.TrimPrefix(queen.URL, "http://"), Token: secret, Output: "text"},
		Home:  home.Home{Config: root, State: root, Cache: root}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said,
	}
	return client{Keeper: k, queen: queen, out: &out, said: &said}
}

// through puts a way to the queen between that breaks each of its connections once
// so many bytes have come back; 0 breaks none any more. It returns how many broke.
func (c client) through(t *testing.T, bytesOf func(connection int64) int64) *atomic.Int64 {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended })
	to := strings.TrimPrefix(c.queen.URL, "http://")
	var broken atomic.Int64
	go func() {
		defer close(ended)
		for n := int64(0); ; n++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			carry(t, near, to, bytesOf(n), &broken)
		}
	}()
	c.Queen = l.Addr().String()
	return &broken
}

// carry carries one connection in goroutines that end with it.
func carry(t *testing.T, near net.Conn, to string, most int64, broken *atomic.Int64) {
	far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		_ = near.Close()
		return
	}
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	go func() {
		if most == 0 {
			_, _ = io.Copy(near, far)
		} else if n, _ := io.CopyN(near, far, most); n == most {
			broken.Add(1)
		}
		_ = near.Close()
		_ = far.Close()
	}()
}

func TestTextIsPrintedOnceHoweverOftenTheConnectionBreaks(t *testing.T) {
	var whole strings.Builder
	for i := range 200 {
		whole.WriteString(strings.Repeat(string(rune('a'+i%26)), i%7+1))
	}
	c := newClient(t, func(ctx context.Context, o ops.Op) (any, error) {
		text := whole.String()
		for len(text) > 0 {
			n := min(5, len(text))
			ops.Emit(ctx, ops.TokenEvent{Text: text[:n]})
			text = text[n:]
		}
		return ops.Answer{Text: whole.String()}, nil
	})
	broken := c.through(t, func(n int64) int64 { return 300 + 211*n })
	if err := (&Infer{Prompt: "x"}).Run(t.Context(), c.Keeper); err != nil {
		t.Fatalf("%v: %s", err, c.said)
	}
	if got := strings.TrimSuffix(c.out.String(), "\n"); got != whole.String() {
		t.Errorf("printed %q, want %q", got, whole.String())
	}
	if broken.Load() < 3 {
		t.Errorf("only %d connections broke", broken.Load())
	}
}

// full is a standard output whose disk is full after so many writes.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestAnAnswerThatCannotBeWrittenIsCancelled(t *testing.T) {
	ended := make(chan error, 1)
	c := newClient(t, func(ctx context.Context, _ ops.Op) (any, error) {
		for range 3 {
			ops.Emit(ctx, ops.TokenEvent{Text: "word "})
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	})
	c.Stdout = &full{left: 1}
	err := (&Infer{Prompt: "x"}).Run(t.Context(), c.Keeper)
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("the command ends with %v", err)
	}
	if why := <-ended; ops.CodeOf(why) != ops.CodeCancelled {
		t.Errorf("the job ends with %v", why)
	}
}

func TestAResultOfAnotherKindIsAnErrorThatNamesTheOperation(t *testing.T) {
	for _, result := range []any{[]int{1}, "text", 5, map[string]any{"models": "none"}, map[string]any{"models": []any{map[string]any{"size_bytes": "big"}}}} {
		c := newClient(t, func(context.Context, ops.Op) (any, error) { return result, nil })
		err := (&Operation[ops.ModelList, ops.Models]{}).Run(t.Context(), c.Keeper)
		if err == nil || !strings.Contains(err.Error(), "model_list") {
			t.Errorf("of %v: %v, printed %q", result, err, c.out)
		}
	}
}

func TestAFailureIsToldAsTheQueenDoesWithItsCodeAndHint(t *testing.T) {
	want := ops.Errorf(ops.CodeBusy, "too much at once").WithHint("later")
	c := newClient(t, func(context.Context, ops.Op) (any, error) { return nil, want })
	err := (&Operation[ops.WorkerList, ops.Workers]{}).Run(t.Context(), c.Keeper)
	if e := ops.AsError(err); err == nil || e.Code != want.Code || e.Message != want.Message || e.Hint != want.Hint {
		t.Errorf("got %+v", ops.AsError(err))
	}
	var list ops.Jobs
	c.Output = "json"
	if err := (JobList{All: true}).Run(t.Context(), c.Keeper); err != nil || json.Unmarshal(c.out.Bytes(), &list) != nil || len(list.Jobs) != 1 {
		t.Fatalf("the list: %v, %s", err, c.out)
	}
	// Following it ends as it did; to cancel it is no failure, and changes nothing.
	if err := (JobFollow{ID: list.Jobs[0].ID}).Run(t.Context(), c.Keeper); ops.CodeOf(err) != ops.CodeBusy {
		t.Errorf("followed, it is %v", err)
	}
	if err := (JobCancel{ID: list.Jobs[0].ID}).Run(t.Context(), c.Keeper); err != nil || !strings.Contains(c.said.String(), "nothing to cancel: the job has ended, as failed") {
		t.Errorf("cancelled, it is %v: %s", err, c.said)
	}
	c.Output = "text"
	c.out.Reset()
	if err := (JobGet{ID: list.Jobs[0].ID}).Run(t.Context(), c.Keeper); err != nil || !strings.Contains(c.out.String(), "too much at once") || !strings.Contains(c.out.String(), "later") {
		t.Errorf("shown, it is %v: %s", err, c.out)
	}
}

func TestAJobIsFollowedToItsResultWhateverItIs(t *testing.T) {
	for _, tt := range []struct {
		o      ops.Op
		result any
		text   string // of what is printed
	}{
		{ops.ModelDelete{ID: "m"}, ops.ModelDeleted{ID: "m", HiveID: "gpu1"}, "model m is deleted from gpu1"},
		{ops.Infer{Prompt: "x", Stream: new(false)}, ops.Answer{Text: "all of it"}, "all of it\n"},
		{ops.WorkerList{}, ops.Workers{}, "no workers"},
	} {
		c := newClient(t, func(context.Context, ops.Op) (any, error) { return tt.result, nil })
		client, err := c.client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := client.Submit(t.Context(), tt.o, "")
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
		id := accepted.JobID
		if err := (JobFollow{ID: id}).Run(t.Context(), c.Keeper); err != nil || !strings.Contains(c.out.String(), tt.text) {
			t.Errorf("%s: %v, printed %q", tt.o.Name(), err, c.out)
		}
		c.out.Reset()
		c.Output = "json"
		if err := (JobFollow{ID: id}).Run(t.Context(), c.Keeper); err != nil || !json.Valid(c.out.Bytes()) || strings.Count(c.out.String(), "\n") != 1 {
			t.Errorf("%s as JSON: %v, printed %q", tt.o.Name(), err, c.out)
		}
	}
}

// TestWhatIsNoQueenIsToldSo: at the address there may be anything.
func TestWhatIsNoQueenIsToldSo(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a web page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html><p>It works!") },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusFound)
		},
		"JSON of another":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"jobs":"none"}`) },
		"an error of its own": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no \x1b[2J way", http.StatusTeapot) },
	} {
		server := httptest.NewServer(answer)
		at, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		k := &Keeper{Flags: Flags{Queen: at.Host, Token: secret, Output: "text"}, Stdout: &out, Stderr: io.Discard}
		err = (JobList{}).Run(t.Context(), k)
		if err == nil || !strings.Contains(err.Error(), "the queen at "+at.Host) || errors.Is(err, transport.ErrUnreachable) || out.Len() > 0 {
			t.Errorf("%s: %v, printed %q", name, err, out.String())
		}
		server.Close()
	}
}
