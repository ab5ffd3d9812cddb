package gateway

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"rbee.dev/rbee/ops"
)

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
			answer, err := f.open(t.Context(), http.MethodPost, "/v1/completions", streamed, nil)
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

// TestWhatIsDoneForAGuestIsToldInWordsForHim: of a model that is unloaded, too.
func TestWhatIsDoneForAGuestIsToldInWordsForHim(t *testing.T) {
	f := newFarm(t)
	f.visit(&visitor{model: "bee"})
	f.start = func(ctx context.Context, _ string) (ops.Worker, error) {
		ops.Narrate(ctx, "worker_unload", "unloading wasp to make room for bee")
		return f.add("w", events("hello", "[DONE]")), nil
	}
	_, _, text := f.send(http.MethodPost, "/v1/completions", streamed, nil)
	if !strings.Contains(text, "unloading another to make room for bee\n") || strings.Contains(text, "wasp") || !strings.HasSuffix(text, "data: [DONE]\n\n") {
		t.Errorf("it is told %q", text)
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
