package hive

import (
	"os"
	"testing"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/ops"
)

func TestPromptsThatWereSeenGetOfWhatIsLeft(t *testing.T) {
	const plenty = 32 << 30
	for _, c := range []struct {
		name   string
		engine string
		cards  []int // MiB free
		flags  []string
		left   uint64 // beside what the model takes
		want   func(cache uint64) int64
	}{
		{"twice what the requests hold", llamaCpp, nil, nil, plenty, func(cache uint64) int64 { return 2 * int64(cache) }},
		{"a quarter of little", llamaCpp, nil, nil, 40 << 20, func(uint64) int64 { return 10 << 20 }},
		{"none of nothing", llamaCpp, nil, nil, 0, func(uint64) int64 { return -1 }},
		{"of the machine's memory, beside a card", llamaCpp, []int{20000}, nil, plenty, func(cache uint64) int64 { return 2 * int64(cache) }},
		{"what a person says", llamaCpp, nil, []string{"--cache-ram=100"}, plenty, func(uint64) int64 { return 100 << 20 }},
		{"an engine that keeps none", builtin, nil, nil, plenty, func(uint64) int64 { return 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var free uint64
			h := roomy(t, &free)
			cards(t, h, "CUDA0", c.cards...)
			w, takes := h.bee(t, c.engine, auto)
			w.flags = c.flags
			free = takes + c.left
			got, err := h.makeRoom(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			shape := h.models.shape("bee")
			if want := c.want(shape.Need(runOf(c.engine, shape, inference.Spec{})).Cache); got.prompts != want {
				t.Errorf("they get %d bytes, want %d", got.prompts, want)
			}
			if len(c.cards) > 0 && got.device != "cuda:0" {
				t.Errorf("it goes to %s", got.device)
			}
		})
	}
}

// TestMemoryThatPromptsMayFillIsNotPromisedTwice: neither of a worker that computes on
// the CPU nor of one on a card.
func TestMemoryThatPromptsMayFillIsNotPromisedTwice(t *testing.T) {
	for _, device := range []string{processor, "cuda:0"} {
		t.Run(device, func(t *testing.T) {
			free := uint64(32 << 30)
			h := roomy(t, &free)
			cards(t, h, "CUDA0", 20000)
			_, before := h.freeIn(t.Context(), processor, nil)
			w, _ := h.bee(t, llamaCpp, device)
			m, err := h.place(t.Context(), w, func() bool { return false }, h.loading(t))
			if err != nil {
				t.Fatal(err)
			}
			prompts := m.tell().PromptCache
			if _, after := h.freeIn(t.Context(), processor, nil); prompts == 0 || before-after < uint64(prompts) {
				t.Errorf("%d bytes may be filled, and of %d are %d free", prompts, before, after)
			}
			w.context, w.parallel, w.device = 1<<20, 64, processor
			free = 1 << 30 // of which a loading worker, which stays, has most
			_, left := h.freeIn(t.Context(), processor, nil)
			_, err = h.makeRoom(t.Context(), w)
			wantCode(t, err, ops.CodeUnavailable, humanBytes(left-left/128)+" are free for it; "+humanBytes(free-left)+" more are kept for what its workers may still take")
			m.info.PID = os.Getpid() // which has memory of its own
			held, known := ownMemory(m.info.PID)
			if !known {
				return
			}
			if _, after := h.freeIn(t.Context(), processor, nil); after > before {
				t.Errorf("with %d bytes held %d of %d are free", held, after, before)
			}
		})
	}
	worker := ops.Worker{PromptCache: 100}
	for held, want := range map[uint64]uint64{0: 100, 50: 100, 80: 70, 1000: 0} {
		if got := promptsOf(worker, held, 50); got != want {
			t.Errorf("one that has %d bytes, 50 of them for itself, will take %d, want %d", held, got, want)
		}
	}
}
