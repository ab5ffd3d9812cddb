package hive

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

func TestCardsAreFoundAmongWhatALlamaServerLists(t *testing.T) {
	nvidia := func(id, name string) ops.Device {
		return ops.Device{ID: id, Kind: "cuda", Name: "NVIDIA GeForce " + name}
	}
	amd := func(id, name string) ops.Device { return ops.Device{ID: id, Kind: "rocm", Name: name} }
	vulkan := func(id, name string) llamacpp.Device { return llamacpp.Device{ID: "vulkan:" + id, Name: name} }
	for name, c := range map[string]struct {
		devices []llamacpp.Device
		cards   []ops.Device
		want    map[string]string
	}{
		"its own kind": {
			[]llamacpp.Device{{ID: "cuda:0", Name: "NVIDIA GeForce RTX 3060"}, vulkan("0", "NVIDIA GeForce RTX 3060")},
			[]ops.Device{nvidia("cuda:0", "RTX 3060")},
			map[string]string{"cuda:0": "cuda:0"},
		},
		"counted otherwise": {
			[]llamacpp.Device{vulkan("0", "NVIDIA GeForce RTX 3060"), vulkan("1", "NVIDIA GeForce RTX 4090")},
			[]ops.Device{nvidia("cuda:0", "RTX 4090"), nvidia("cuda:1", "RTX 3060")},
			map[string]string{"cuda:0": "vulkan:1", "cuda:1": "vulkan:0"},
		},
		"two of one name": {
			[]llamacpp.Device{vulkan("0", "NVIDIA GeForce RTX 3060"), vulkan("1", "NVIDIA GeForce RTX 3060")},
			[]ops.Device{nvidia("cuda:0", "RTX 3060"), nvidia("cuda:1", "RTX 3060")},
			map[string]string{"cuda:0": "vulkan:0", "cuda:1": "vulkan:1"},
		},
		"two makers, with what a driver adds": {
			[]llamacpp.Device{vulkan("0", "AMD Radeon RX 7900 XTX (RADV NAVI31)"), vulkan("1", "NVIDIA GeForce RTX 3060")},
			[]ops.Device{nvidia("cuda:0", "RTX 3060"), amd("rocm:0", "Radeon RX 7900 XTX")},
			map[string]string{"cuda:0": "vulkan:1", "rocm:0": "vulkan:0"},
		},
		"a maker's only card": {
			[]llamacpp.Device{vulkan("0", "AMD Radeon Graphics (RADV GFX1103)")},
			[]ops.Device{amd("rocm:0", "card of AMD's")},
			map[string]string{"rocm:0": "vulkan:0"},
		},
		"two without a name": {
			[]llamacpp.Device{vulkan("0", "AMD Radeon A"), vulkan("1", "AMD Radeon B")},
			[]ops.Device{amd("rocm:0", "c"), amd("rocm:1", "d")},
			map[string]string{},
		},
		"one that it does not list": {
			[]llamacpp.Device{vulkan("0", "NVIDIA GeForce RTX 3060")},
			[]ops.Device{nvidia("cuda:0", "RTX 3060"), nvidia("cuda:1", "RTX 3060")},
			map[string]string{"cuda:0": "vulkan:0"},
		},
		"nothing but the processor": {nil, []ops.Device{nvidia("cuda:0", "RTX 3060")}, map[string]string{}},
	} {
		if diff := cmp.Diff(c.want, callings(c.devices, c.cards)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestAWorkerIsToldItsCardAsItsLlamaServerCallsIt: to people and to who counts the
// memory it is the card that it was.
func TestAWorkerIsToldItsCardAsItsLlamaServerCallsIt(t *testing.T) {
	for _, c := range []struct{ usable, device, want string }{
		{"Vulkan0 Vulkan1", "cuda:1", "vulkan:1"},
		{"Vulkan0 Vulkan1", "cuda:0,cuda:1", "vulkan:0,vulkan:1"},
		{"CUDA0 CUDA1", "cuda:1", ""},
		{"Vulkan0 Vulkan1", processor, ""},
		{"Vulkan0 Vulkan1", auto, ""},
	} {
		free := uint64(1 << 34)
		h := roomy(t, &free)
		cards(t, h, c.usable, 9000, 9000)
		w, _ := h.bee(t, llamaCpp, c.device)
		w.program, _ = h.llamaServer()
		if got := h.asCalled(t.Context(), w); got != c.want {
			t.Errorf("with %s, %s is called %q, want %q", c.usable, c.device, got, c.want)
		}
		w.called = c.want
		m := newMember("w1", t.TempDir(), "localhost", w)
		if args := m.arguments(); after(args, "--called=") != c.want || m.tell().Device != c.device {
			t.Errorf("it is started with %q, as one on %s", args, m.tell().Device)
		}
	}
}

// after is what follows the prefix in one of the arguments, or "".
func after(args []string, prefix string) string {
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, prefix); ok {
			return value
		}
	}
	return ""
}
