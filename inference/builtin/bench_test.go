package builtin_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/builtin"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/openai"
)

const (
	benchPrompt = 256 // tokens to read
	benchAnswer = 64  // tokens to make
)

// BenchmarkOneThread measures prompt processing and answering, in tokens a
// second, of one request on one thread, with a model of 140 million random
// weights. With RBEE_LLAMACPP_ROOT set each round measures llama-bench too, on
// the same file; the ratios are the medians of the rounds'.
//
//	go test -run '^$' -bench OneThread -benchtime 3x ./inference/builtin
func BenchmarkOneThread(b *testing.B) {
	for _, kind := range []gguf.Type{gguf.Q8_0, gguf.F16, gguf.Q4_0, gguf.Q4_K} {
		b.Run(kind.String(), func(b *testing.B) { benchmarkType(b, kind) })
	}
}

func benchmarkType(b *testing.B, kind gguf.Type) {
	model := gguftest.Model{Type: kind, Layers: 22, Width: 768, Heads: 12, KVHeads: 4, FFN: 2048, Seed: 1}.Bytes()
	dir := b.TempDir()
	root := os.Getenv("RBEE_LLAMACPP_ROOT")
	if root != "" { // llama-bench sees its own root only
		var err error
		if dir, err = os.MkdirTemp(filepath.Join(root, "tmp"), "rbee-bench-"); err != nil { //nolint:usetesting // see above
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	path := filepath.Join(dir, "m.gguf")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		b.Fatal(err)
	}
	e := open(b, inference.Spec{ModelPath: path, Threads: 1})
	var ours, theirs rates
	round := 0
	for b.Loop() {
		round++
		ours.add(measure(b, e, round))
		if root != "" {
			theirs.add(llamaBench(b, root, "/tmp/"+filepath.Base(dir)+"/m.gguf"))
		}
	}
	b.ReportMetric(0, "ns/op") // the rates say it
	b.ReportMetric(median(ours.prompt), "prompt-tok/s")
	b.ReportMetric(median(ours.answer), "answer-tok/s")
	if root != "" {
		b.ReportMetric(median(ratios(ours.prompt, theirs.prompt)), "prompt-vs-llama.cpp")
		b.ReportMetric(median(ratios(ours.answer, theirs.answer)), "answer-vs-llama.cpp")
	}
}

// rates are tokens a second, one of each kind for each round.
type rates struct{ prompt, answer []float64 }

func (r *rates) add(prompt, answer float64) {
	r.prompt, r.answer = append(r.prompt, prompt), append(r.answer, answer)
}

func ratios(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return list
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// measure runs one request. Each round has a prompt of its own, or it would
// find the prompt cached.
func measure(b *testing.B, e *builtin.Engine, round int) (prompt, answer float64) {
	text := strings.Repeat(string(rune('a'+round%26))+string(rune('A'+round/26%26)), benchPrompt/2)
	began := time.Now()
	var first time.Time
	o, err := e.Generate(b.Context(), openai.Request{Prompt: text, MaxTokens: benchAnswer}, func(string) error {
		if first.IsZero() {
			first = time.Now()
		}
		return nil
	})
	if err != nil || o.CompletionTokens < 2 {
		b.Fatalf("%+v, %v", o, err)
	}
	return float64(o.PromptTokens) / first.Sub(began).Seconds(), float64(o.CompletionTokens-1) / time.Since(first).Seconds()
}

// llamaBench is what llama.cpp's own measuring program says of the same work.
func llamaBench(b *testing.B, root, path string) (prompt, answer float64) {
	var log bytes.Buffer
	cmd := exec.CommandContext(b.Context(), "chroot", root, "llama-bench", "-m", path, "-t", "1", "-ngl", "0", "-r", "1",
		"-p", "256", "-n", "64", "-o", "json")
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("llama-bench: %v\n%s", err, log.String())
	}
	var runs []struct {
		Prompt int     `json:"n_prompt"`
		Rate   float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(out, &runs); err != nil || len(runs) != 2 {
		b.Fatalf("llama-bench said %s (%v)", out, err)
	}
	if runs[0].Prompt == 0 {
		runs[0], runs[1] = runs[1], runs[0]
	}
	return runs[0].Rate, runs[1].Rate
}
