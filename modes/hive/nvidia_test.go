package hive

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

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
			got, divided := readNVIDIA(c.text)
			if diff := cmp.Diff(c.want, got); diff != "" || divided {
				t.Error(diff, divided)
			}
		})
	}
}

// program puts an nvidia-smi on the PATH that is the shell script given.
func program(t *testing.T, script string) {
	t.Helper()
	tool(t, "nvidia-smi", script)
}

// tool puts a program called name on the PATH that is the shell script given.
func tool(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is a program
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

// What nvidia-smi prints of a card that is divided, one that could be, and one
// that is divided into nothing.
const (
	migRows = `0, NVIDIA A100-SXM4-40GB, 40960, 38000, 535.129.03, 8.0, Enabled
1, NVIDIA A100-SXM4-40GB, 40960, 40500, 535.129.03, 8.0, Disabled
2, NVIDIA A100-SXM4-40GB, 40960, [N/A], 535.129.03, 8.0, Enabled
`
	migXML = `<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<driver_version>535.129.03</driver_version>
	<gpu id="00000000:10:00.0">
		<mig_mode><current_mig>Enabled</current_mig><pending_mig>Enabled</pending_mig></mig_mode>
		<fb_memory_usage><total>40960 MiB</total><free>38000 MiB</free></fb_memory_usage>
		<mig_devices>
			<mig_device><index>0</index><fb_memory_usage><total>19968 MiB</total><free>19949 MiB</free></fb_memory_usage></mig_device>
			<mig_device><index>1</index><fb_memory_usage><total>4864 MiB</total><free>4800 MiB</free></fb_memory_usage></mig_device>
		</mig_devices>
	</gpu>
	<gpu id="00000000:15:00.0">
		<mig_mode><current_mig>Disabled</current_mig></mig_mode>
		<mig_devices>None</mig_devices>
	</gpu>
	<gpu id="00000000:20:00.0">
		<mig_mode><current_mig>Enabled</current_mig></mig_mode>
		<mig_devices>None</mig_devices>
	</gpu>
</nvidia_smi_log>`
)

func TestACardThatIsDividedHasTheMemoryOfItsFirstInstance(t *testing.T) {
	program(t, "case \"$1\" in -q) cat <<'E'\n"+migXML+"\nE\n;; *) cat <<'E'\n"+migRows+"E\n;; esac\n")
	a100 := ops.Device{Kind: "cuda", DriverVersion: "535.129.03", ComputeCapability: "8.0"}
	want := []ops.Device{a100, a100, a100}
	want[0].ID, want[0].Name, want[0].MemoryBytes, want[0].MemoryFreeBytes = "cuda:0", "NVIDIA A100-SXM4-40GB (MIG, instance 1 of 2)", 19968<<20, 19949<<20
	want[1].ID, want[1].Name, want[1].MemoryBytes, want[1].MemoryFreeBytes = "cuda:1", "NVIDIA A100-SXM4-40GB", 40960<<20, 40500<<20
	want[2].ID, want[2].Name, want[2].MemoryBytes = "cuda:2", "NVIDIA A100-SXM4-40GB (MIG, no instance)", 40960<<20
	if diff := cmp.Diff(want, findNVIDIA(t.Context())); diff != "" {
		t.Error(diff)
	}
}

func TestADriverThatHangsIsNotWaitedForLongerThanItsTime(t *testing.T) {
	program(t, "sleep 600 & sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := findNVIDIA(ctx); len(got) != 0 {
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
