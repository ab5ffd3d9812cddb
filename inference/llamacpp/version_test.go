package llamacpp

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
)

func TestVersionsAreReadFromOldAndNewPrograms(t *testing.T) {
	for _, c := range []struct {
		says, want, name string
		ok               bool
	}{
		{"version: 5327 (27ebfcac)\nbuilt with cc for x86_64\n", "b5327", "", true},
		{"ggml_cuda_init: found 1 CUDA devices\nversion: 0.7.0 (build 11669, commit Debian)\n", "b11669", "0.7.0", true},
		{"version: 0 (unknown)\n", "", "", true},
		{"version: 1 (27ebfcac)\n", "", "", true},
		{"version: v0.4 (27ebfcac)\n", "v0.4", "v0.4", true},
		{"vllm 0.11\n", "", "", false},
		{"", "", "", false},
	} {
		v, ok := readVersion(c.says)
		if ok != c.ok || v.String() != c.want || v.Name != c.name {
			t.Errorf("%q is %+v, %v", c.says, v, ok)
		}
	}
}

// program is one that prints text whatever it is asked.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Name)
	write(t, path, []byte("#!/bin/sh\n"+script+"\n"))
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAProgramThatCannotBeUsedIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name, script, says string
		code               ops.Code
	}{
		{"too old", `echo "version: 4000 (abc)" >&2`, "is too old: it is b4000, and rbee needs b5100", ops.CodeUnsupported},
		{"another program", "echo hello", `is no llama-server: asked for its version it says "hello"`, ops.CodeUnsupported},
		{"one that lacks a library", "echo libllama.so: cannot open shared object file >&2; exit 127", "exit status 127; it says: libllama.so: cannot open", ops.CodeUnavailable},
		{"one that never stops to talk", `yes "version: 7000 (abc)"`, "cannot be run: it prints without end", ops.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := program(t, c.script)
			_, err := Ask(t.Context(), path)
			if ops.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v (%s)", err, ops.CodeOf(err))
			}
		})
	}
	if _, err := Ask(t.Context(), "/nowhere/llama-server"); ops.CodeOf(err) != ops.CodeNotFound || strings.Count(err.Error(), "/nowhere/llama-server") != 1 {
		t.Errorf("none: %v", err)
	}
}

func TestAProgramForAnotherMachineIsRefusedAsThat(t *testing.T) {
	for name, c := range map[string]struct{ content, says string }{
		"of another processor": {"\x7fELF\x02\x01\x01 of none that there is", "cannot be run: it is no program for " + runtime.GOOS + " on " + runtime.GOARCH},
		"of another system":    {"#!/nowhere/ld-linux.so\n", "cannot be run: the loader that it was built for is not on this machine"},
	} {
		path := filepath.Join(t.TempDir(), Name)
		write(t, path, []byte(c.content))
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := Ask(t.Context(), path)
		if ops.CodeOf(err) != ops.CodeUnsupported || !strings.Contains(err.Error(), c.says) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%s: %v (%s)", name, err, ops.CodeOf(err))
		}
	}
}

func TestWhatAProgramComputesOnIsHeardFromIt(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"echo 'Available devices:\n  CUDA0: RTX 4090 (24080 MiB, 23000 MiB free)\n  CUDA1: RTX 4090 (1 MiB, 1 MiB free)\n  Vulkan0: AMD (1 MiB, 1 MiB free)'", "cuda vulkan"},
		{"echo 'Available devices:\n  (none)'", "cpu"},
		{"echo 'Available devices:\n  MTL0: Apple M4 (1 MiB, 1 MiB free)'", "metal"},
	} {
		if got, err := Devices(t.Context(), program(t, c.script)); err != nil || Accelerators(got) != c.want {
			t.Errorf("%s: got %q, %v", c.script, got, err)
		}
	}
}

func TestDevicesAreHeardByTheirNames(t *testing.T) {
	got, err := Devices(t.Context(), program(t, "echo 'Available devices:\n  Vulkan0: NVIDIA GeForce RTX 3060 (12288 MiB, 11900 MiB free)\n  Vulkan1: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 24000 MiB free)\n  MTL: Apple M4'"))
	want := []Device{{"vulkan:0", "NVIDIA GeForce RTX 3060"}, {"vulkan:1", "AMD Radeon RX 7900 XTX (RADV NAVI31)"}, {"metal:0", "Apple M4"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheRealProgramSaysWhichItIs(t *testing.T) {
	path := llamacpptest.Program(t)
	v, err := Ask(t.Context(), path)
	if err != nil || v.Build < Oldest || v.Name == "" {
		t.Errorf("got %+v, %v", v, err)
	}
	if got, err := Devices(t.Context(), path); err != nil || Accelerators(got) != "cpu" {
		t.Errorf("it computes on %q, %v", got, err)
	}
}

func TestAProgramWithoutTheRPCBackendDividesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		refused bool
	}{
		"one that has it":         {"echo '-m,    --model FNAME   model path'; echo '--rpc SERVERS   servers'", false},
		"one that has not":        {"echo '-m,    --model FNAME   model path'; echo '-t,    --threads N   number'", true},
		"one that tells no flags": {"echo hello", false},
		"one that cannot be run":  {"exit 1", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckDivides(t.Context(), program(t, c.script))
			if (err != nil) != c.refused || err != nil && (ops.CodeOf(err) != ops.CodeUnsupported || !strings.Contains(err.Error(), "without llama.cpp's RPC backend")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheRealProgramHasTheRPCBackend(t *testing.T) {
	if err := CheckDivides(t.Context(), llamacpptest.Program(t)); err != nil {
		t.Error(err)
	}
}
