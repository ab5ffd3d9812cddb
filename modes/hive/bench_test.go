package hive_test

import (
	"path/filepath"
	"testing"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// BenchmarkInfer is a job of one piece of text, sent to the worker and through
// the hive: the difference is what the hive costs. Each takes the engine's pace
// of 5 ms, too.
func BenchmarkInfer(b *testing.B) {
	h := newHome(b)
	run(b, h)
	through := client(b, h)
	w, err := transport.Call(b.Context(), through, ops.WorkerSpawn{})
	if err != nil {
		b.Fatal(err)
	}
	direct := transport.New(transport.Unix(filepath.Join(h.Worker(w.ID), home.WorkerSocket)))
	b.Cleanup(direct.Close)
	for name, c := range map[string]*transport.Client{"worker": direct, "hive": through} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := transport.Call(b.Context(), c, ops.Infer{Prompt: "x", MaxTokens: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
