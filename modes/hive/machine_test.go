package hive

import (
	"context"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAGPUThatTellsOfNoMemoryHasTheMachines(t *testing.T) {
	const (
		spark  = "0, NVIDIA GB10, [N/A], [N/A], 580.95.05, GPU-1a, 12.1, [N/A]\n"
		beside = "1, NVIDIA GeForce RTX 4090, 24564, 9000, 580.95.05, GPU-2b, 8.9, [N/A]\n"
	)
	for _, c := range []struct {
		name, rows, device string
		free               uint64
		want, says         string
		code               ops.Code
	}{
		{"it goes there by itself", spark, auto, 1 << 34, "cuda:0", "it goes to cuda:0 (NVIDIA GB10), which has 16 GiB free", ""},
		{"that is not endless", spark, auto, 1 << 20, "", "of the 63 GiB that cuda:0 of hive localhost has, 0 B are free", ops.CodeUnavailable},
		{"nor where it is named", spark, "cuda:0", 1 << 20, "", "0 B are free", ops.CodeUnavailable},
		{"a card of its own memory comes first", spark + beside, auto, 1 << 34, "cuda:1", "which has 8.8 GiB free", ""},
		{"and needs none of the machine's", spark + beside, auto, 1 << 20, "cuda:1", "", ""},
		{"but not where the other is named", spark + beside, "cuda:0", 1 << 34, "cuda:0", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := roomy(t, &c.free)
			cards(t, h, "CUDA0")
			program(t, "cat <<'E'\n"+c.rows+"E\n")
			h.machine.look(t.Context())
			w, _ := h.bee(t, llamaCpp, c.device)
			var said story
			got, err := h.makeRoom(said.told(t.Context()), w)
			if c.code != "" {
				wantCode(t, err, c.code, c.says)
				return
			}
			if err != nil || got.device != c.want || !strings.Contains(strings.Join(said.lines, "\n"), c.says) {
				t.Errorf("it goes to %q (%v), %q", got.device, err, said.lines)
			}
		})
	}
}

func TestALookThatIsCutShortForgetsNoCard(t *testing.T) {
	free := uint64(1 << 34)
	h := roomy(t, &free)
	cards(t, h, "CUDA0", 9000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.machine.look(ctx)
	if gpus := h.machine.gpus(); len(gpus) != 1 {
		t.Errorf("there are %+v", gpus)
	}
	program(t, "echo 'No devices were found'; exit 6")
	h.machine.look(t.Context())
	if got := h.machine.wrong(); len(h.machine.gpus()) != 0 || len(got) != 1 {
		t.Errorf("it says %q of %+v", got, h.machine.list())
	}
	wantCode(t, h.checkDevice(llamaCpp, "cuda:0"), ops.CodeNotFound, "it has: cpu; not usable: "+h.machine.wrong()[0])
}

func TestADeviceIsRefusedOnlyOnceTheDriversHaveBeenHeard(t *testing.T) {
	free := uint64(1 << 34)
	h := roomy(t, &free)
	h.machine.looked = make(chan struct{})
	h.machine.lookQuickly(t.Context())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.checkDeviceOnceKnown(gone, llamaCpp, "cuda:0"); ops.CodeOf(err) == ops.CodeNotFound || err == nil {
		t.Errorf("who does not wait is told %v", err)
	}
	if err := h.checkDeviceOnceKnown(gone, llamaCpp, processor); err != nil {
		t.Errorf("of the CPU: %v", err)
	}
	told := make(chan error, 1)
	var said story
	go func() { told <- h.checkDeviceOnceKnown(said.told(t.Context()), llamaCpp, "cuda:0") }()
	cards(t, h, "CUDA0", 9000)
	if err := <-told; err != nil {
		t.Errorf("of a card that was found meanwhile: %v", err)
	}
}
