package hive

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

func TestWhatNVIDIASMIPrintsIsRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []ops.Device
	}{
		{"two cards", "0, NVIDIA GeForce RTX 4090, 24564, 23012, 550.54.14, 8.9\n1, NVIDIA H100 80GB HBM3, 81559, 81079, 550.54.14, 9.0\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "NVIDIA GeForce RTX 4090", MemoryBytes: 24564 << 20, MemoryFreeBytes: 23012 << 20, DriverVersion: "550.54.14", ComputeCapability: "8.9"},
			{ID: "cuda:1", Kind: "cuda", Name: "NVIDIA H100 80GB HBM3", MemoryBytes: 81559 << 20, MemoryFreeBytes: 81079 << 20, DriverVersion: "550.54.14", ComputeCapability: "9.0"},
		}},
		{"an old driver without the capability", "0, Tesla K80, 11441, 11439, 470.256.02\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "Tesla K80", MemoryBytes: 11441 << 20, MemoryFreeBytes: 11439 << 20, DriverVersion: "470.256.02"},
		}},
		{"memory shared with the CPU", "0, NVIDIA GB10, [N/A], [N/A], 580.95.05, 12.1\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "NVIDIA GB10", DriverVersion: "580.95.05", ComputeCapability: "12.1"},
		}},
		{"a card that is broken", "0, [Unknown Error], [Unknown Error], [Unknown Error], 550.54.14, [N/A]\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", DriverVersion: "550.54.14"},
		}},
		{"no cards", "No devices were found\n", nil},
		{"nothing", "", nil},
		{"nonsense", "\"a\nb,c", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, readNVIDIA(c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// program puts an nvidia-smi on the PATH that is the shell script given.
func program(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestAnOldDriverIsAskedForLess(t *testing.T) {
	program(t, `case "$1" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;; esac
echo "0, Tesla K80, 11441, 11439, 470.256.02"
`)
	if got := findNVIDIA(t.Context()); len(got) != 1 || got[0].ID != "cuda:0" {
		t.Errorf("found %+v", got)
	}
}

func TestADriverThatFailsIsNoDevice(t *testing.T) {
	program(t, `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9
`)
	if got := findNVIDIA(t.Context()); len(got) != 0 {
		t.Errorf("found %+v", got)
	}
}

func TestADeviceThatIsThereButNotForTheEngineIsUnsupported(t *testing.T) {
	h := &Hive{Options: Options{Name: "localhost"}}
	h.machine.devices = []ops.Device{{ID: "cpu"}, {ID: "cuda:0", Name: "NVIDIA H100"}}
	wantCode(t, h.checkDevice("builtin", "cuda:0"), ops.CodeUnsupported, "runs on cpu only, not on cuda:0 (NVIDIA H100)")
	wantCode(t, h.checkDevice("builtin", "cuda:1"), ops.CodeNotFound, "it has: cpu, cuda:0")
	wantCode(t, h.checkDevice("llamacpp", "cuda:1"), ops.CodeNotFound, "it has: cpu, cuda:0")
	for _, c := range [][2]string{{"builtin", "cpu"}, {"llamacpp", "cpu"}, {"llamacpp", "cuda:0"}} {
		if err := h.checkDevice(c[0], c[1]); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}
