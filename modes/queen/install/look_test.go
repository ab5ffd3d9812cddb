package install

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

func TestFactsAreReadFromWhatAMachineSays(t *testing.T) {
	got, err := parseFacts(strings.Join([]string{
		"Welcome to gpu1!", // a profile's noise
		"os=Linux", "arch=aarch64", "home=/home/a b", "user=alice", "host=gpu1", "now=1700000000",
		"data=/home/a b/.local/share/rbee", "disk_free_kib=2048", "writable=yes", "executable=no",
		"cpu=", "cores=8", "flags=fp asimd asimddp sve", "memory_kib=1024", "memory_free_kib=512",
		"gpu=0, NVIDIA H100, with a comma? no, 81559, 80000, 550.1, 9.0", // not of the shape
		"gpu=1, NVIDIA H100 80GB HBM3, 81559, 80000, 550.1, 9.0",
		"gpu=2, NVIDIA GB10, [N/A], [N/A], 580.95.05, 12.1", "gpu=3, Tesla K80, 11441, 11439, 470.256.02",
		"amd=0, 25753026560, 10485760, AMD Radeon RX 7900 XTX, OEM", "amd=nothing", "metal=Apple M2",
		"systemd=yes", `owner={"queen":"Q","of":"bob@desk","hive":"attic"}`, "current=rbee-abc", "binary=rbee-abc", "binary=rbee-def",
	}, "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Facts{
		Host: "gpu1", User: "alice", Home: "/home/a b", Platform: Platform{"linux", "arm64"}, DiskFree: 2 << 20,
		Clock: time.Unix(1700000000, 0), Data: "/home/a b/.local/share/rbee", State: "/home/a b/.local/state/rbee",
		Systemd: true, Writable: true, Claim: &Claim{Queen: "Q", Of: "bob@desk", Hive: "attic"},
		Current: "rbee-abc", Binaries: []string{"rbee-abc", "rbee-def"},
		Devices: []ops.Device{
			{ID: "cpu", Kind: "cpu", Name: "aarch64", Cores: 8, MemoryBytes: 1 << 20, MemoryFreeBytes: 512 << 10, InstructionSets: "asimd asimddp"},
			{ID: "cuda:1", Kind: "cuda", Name: "NVIDIA H100 80GB HBM3", MemoryBytes: 81559 << 20, MemoryFreeBytes: 80000 << 20, DriverVersion: "550.1", ComputeCapability: "9.0"},
			{ID: "cuda:2", Kind: "cuda", Name: "NVIDIA GB10", MemoryBytes: 1 << 20, MemoryFreeBytes: 512 << 10, SharesMemory: true, DriverVersion: "580.95.05", ComputeCapability: "12.1"},
			{ID: "cuda:3", Kind: "cuda", Name: "Tesla K80", MemoryBytes: 11441 << 20, MemoryFreeBytes: 11439 << 20, DriverVersion: "470.256.02"},
			{ID: "rocm:0", Kind: "rocm", Name: "AMD Radeon RX 7900 XTX, OEM", MemoryBytes: 25753026560, MemoryFreeBytes: 25753026560 - 10485760},
			{ID: "metal:0", Kind: "metal", Name: "Apple M2", MemoryBytes: 1 << 20, MemoryFreeBytes: 512 << 10, SharesMemory: true},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := parseFacts("'uname' is not recognized as an internal or external command"); ops.CodeOf(err) != ops.CodeUnsupported {
		t.Errorf("of no Unix: %v", err)
	}
	if f, err := parseFacts("os=Linux\nhome=/h\ndata=/d\nowner=garbage"); err != nil || f.Claim == nil {
		t.Errorf("a claim that cannot be read is one all the same: %+v, %v", f.Claim, err)
	}
}

func TestThisMachineCanBeLookedAt(t *testing.T) {
	home := filepath.Join(t.TempDir(), `it's a "home"`)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	f, err := Look(t.Context(), Here{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if f.Platform != own() || f.Home != home || f.Data != home+"/.local/share/rbee" || f.Claim != nil || f.Current != "" {
		t.Errorf("got %+v", f)
	}
	if f.Devices[0].Cores != runtime.NumCPU() || f.Devices[0].MemoryBytes == 0 || f.DiskFree == 0 {
		t.Errorf("its hardware: %+v, %d bytes free", f.Devices, f.DiskFree)
	}
	if off := time.Since(f.Clock).Abs(); off > time.Minute {
		t.Errorf("its clock is off by %s", off)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) != 0 {
		t.Errorf("looking left %v behind, %v", left, err)
	}
	if p := f.Problems(1 << 20); len(p) != 0 {
		t.Errorf("in the way: %q", p)
	}
}

func TestProblemsAreNamed(t *testing.T) {
	good := Facts{Platform: Platform{"linux", "amd64"}, Writable: true, Executable: true, DiskFree: 1 << 30, Data: "/d"}
	for want, spoil := range map[string]func(*Facts){
		"":                func(*Facts) {},
		"does not run on": func(f *Facts) { f.Platform.Arch = "riscv64" },
		"cannot write":    func(f *Facts) { f.Writable = false },
		"noexec":          func(f *Facts) { f.Executable = false },
		"10 MB are free":  func(f *Facts) { f.DiskFree = 10 << 20 },
		"a hive needs 94": func(f *Facts) { f.DiskFree = 90 << 20 },
	} {
		f := good
		spoil(&f)
		got := strings.Join(f.Problems(30<<20), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAMachineTellsOfItsNVIDIACards(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, c := range []struct{ name, script, want string }{
		{"of one that has no memory of its own", `echo "0, NVIDIA GB10, [N/A], [N/A], 580.95.05, 12.1"`, "NVIDIA GB10"},
		{"an old driver", `case "$1" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;; esac; echo "0, Tesla K80, 11441, 11439, 470.256.02"`, "Tesla K80"},
		{"a warning", `echo "0, RTX 3090, 24576, 24000, 550.54.14, 8.6"; echo "WARNING: infoROM is corrupted"; exit 14`, "RTX 3090"},
		{"no driver", `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil { //nolint:gosec // it is a program
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			f, err := Look(t.Context(), Here{}, "")
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range f.Devices {
				if d.Kind == "cuda" && d.MemoryBytes > 0 {
					names = append(names, d.Name)
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("it tells of %q in %+v", got, f.Devices)
			}
		})
	}
}
