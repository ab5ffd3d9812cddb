package engines

import (
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// b11211 is what a real release holds.
var b11211 = []string{
	"cudart-llama-b11211-bin-ubuntu-cuda-12.8-x64.tar.gz",
	"cudart-llama-b11211-bin-ubuntu-cuda-13.4-arm64.tar.gz",
	"cudart-llama-b11211-bin-ubuntu-cuda-13.4-x64.tar.gz",
	"cudart-llama-bin-win-cuda-12.4-x64.zip",
	"llama-b11211-bin-android-arm64.tar.gz",
	"llama-b11211-bin-macos-arm64.tar.gz",
	"llama-b11211-bin-macos-x64.tar.gz",
	"llama-b11211-bin-ubuntu-arm64.tar.gz",
	"llama-b11211-bin-ubuntu-cuda-12.8-x64.tar.gz",
	"llama-b11211-bin-ubuntu-cuda-13.4-arm64.tar.gz",
	"llama-b11211-bin-ubuntu-cuda-13.4-x64.tar.gz",
	"llama-b11211-bin-ubuntu-openvino-2026.4-x64.tar.gz",
	"llama-b11211-bin-ubuntu-rocm-10.0-x64.tar.gz",
	"llama-b11211-bin-ubuntu-s390x.tar.gz",
	"llama-b11211-bin-ubuntu-sycl-fp16-x64.tar.gz",
	"llama-b11211-bin-ubuntu-vulkan-arm64.tar.gz",
	"llama-b11211-bin-ubuntu-vulkan-x64.tar.gz",
	"llama-b11211-bin-ubuntu-x64.tar.gz",
	"llama-b11211-bin-win-cuda-13.4-x64.zip",
	"llama-b11211-ui.tar.gz",
}

func TestTheArchiveThatSuitsTheMachineIsTaken(t *testing.T) {
	for _, c := range []struct {
		name        string
		machine     Machine
		accelerator string
		want        string
	}{
		{"a plain machine", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cpu"}}, "", "b11211-cpu"},
		{"an ARM board", Machine{OS: "linux", Arch: "arm64"}, "", "b11211-cpu"},
		{"a new driver", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cpu", "cuda"}, Driver: "580.65.06"}, "", "b11211-cuda-13.4"},
		{"an older driver", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cuda"}, Driver: "550.54"}, "", "b11211-cuda-12.8"},
		{"a driver that does not say", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cuda"}}, "", "b11211-cuda-12.8"},
		{"a driver for none of them", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cuda"}, Driver: "470.1"}, "", "b11211-vulkan"},
		{"an old driver on ARM", Machine{OS: "linux", Arch: "arm64", Kinds: []string{"cuda"}, Driver: "550.1"}, "", "b11211-vulkan"},
		{"AMD with ROCm", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"rocm"}, ROCm: true}, "", "b11211-rocm-10.0"},
		{"AMD without", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"rocm"}}, "", "b11211-vulkan"},
		{"a Mac", Machine{OS: "darwin", Arch: "arm64", Kinds: []string{"cpu", "metal"}}, "", "b11211-metal"},
		{"an older Mac", Machine{OS: "darwin", Arch: "amd64", Kinds: []string{"cpu"}}, "", "b11211-cpu"},
		{"another one is wanted", Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cuda"}, Driver: "580"}, "vulkan", "b11211-vulkan"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffer("b11211")
			for _, name := range b11211 {
				o.urls[name] = "x"
			}
			a, err := pick(t.Context(), o, Wanted{Accelerator: c.accelerator, Machine: c.machine}, false)
			if err != nil || a.id() != c.want {
				t.Errorf("got %s, %v", a.id(), err)
			}
		})
	}
}

func TestWhatARealeaseDoesNotHaveIsSaid(t *testing.T) {
	o := newOffer("b11211")
	for _, name := range b11211 {
		o.urls[name] = "x"
	}
	_, err := pick(t.Context(), o, Wanted{Accelerator: "rocm", Machine: Machine{OS: "linux", Arch: "arm64"}}, false)
	if e := ops.AsError(err); e == nil || e.Code != ops.CodeUnsupported || e.Hint != "it has: cpu, cuda, vulkan" {
		t.Errorf("got %v", err)
	}
	if _, err := pick(t.Context(), o, Wanted{Machine: Machine{OS: "plan9", Arch: "amd64"}}, false); ops.CodeOf(err) != ops.CodeUnsupported {
		t.Errorf("got %v", err)
	}
}

func TestCUDAsLibrariesComeFromTheArchiveBeside(t *testing.T) {
	for name, want := range map[string]string{
		"llama-b11211-bin-ubuntu-cuda-12.8-x64.tar.gz": "cudart-llama-b11211-bin-ubuntu-cuda-12.8-x64.tar.gz",
		"llama-b11211-bin-ubuntu-vulkan-x64.tar.gz":    "",
	} {
		a, _ := readAsset(name)
		if got := a.companion(b11211); got != want {
			t.Errorf("of %s: %q", name, got)
		}
	}
	a, _ := readAsset("llama-b7000-bin-ubuntu-cuda-12.4-x64.zip")
	if got := a.companion([]string{"cudart-llama-bin-ubuntu-cuda-12.4-x64.zip"}); got == "" {
		t.Error("of an older release: none")
	}
}

func TestOnlyNamesOfArchivesAreRead(t *testing.T) {
	for _, name := range []string{
		"", "llama-b1-bin-ubuntu-x64.exe", "llama-b1-bin-ubuntu-x64.tar.gz/..", "../llama-b1-bin-ubuntu-x64.tar.gz",
		"llama-b99999999-bin-ubuntu-x64.zip", "llama-b1-bin-ubuntu-s390x.tar.gz", "llama-b1-bin-macos-arm64-kleidiai.tar.gz",
	} {
		if a, ok := readAsset(name); ok {
			t.Errorf("%q is %+v", name, a)
		}
	}
	if !slices.ContainsFunc(b11211, func(n string) bool { a, ok := readAsset(n); return ok && a.id() == "b11211-rocm-10.0" }) {
		t.Error("an archive for ROCm is not known")
	}
}

func TestACardThatNothingOfAReleaseRunsOnIsNotPassedOverInSilence(t *testing.T) {
	o := offer{tag: "b6000", urls: map[string]string{name1: ""}}
	for _, tt := range []struct {
		kinds     []string
		says, why string
	}{
		{[]string{"cpu"}, "taking b6000-cpu for this machine", "no card that is known"},
		{[]string{"cpu", "cuda"}, "leaves the card unused", "an NVIDIA card"},
	} {
		f := &follower{}
		a, err := pick(ops.WithSink(t.Context(), f), o, Wanted{Machine: Machine{OS: "linux", Arch: "amd64", Kinds: tt.kinds}}, false)
		if said := strings.Join(f.said, "\n"); err != nil || a.id() != "b6000-cpu" || !strings.Contains(said, tt.says) || !strings.Contains(said, tt.why) {
			t.Errorf("of %v: %s, %v; it says %s", tt.kinds, a.id(), err, said)
		}
	}
}
