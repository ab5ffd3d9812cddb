package hive

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rbee.dev/rbee/ops"
)

func TestWhatNVIDIASMIPrintsIsRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []ops.Device
		problems   []string
	}{
		{"two cards", "0, NVIDIA GeForce RTX 4090, 24564, 23012, 550.54.14, GPU-1a, 8.9, [N/A]\n1, NVIDIA H100 80GB HBM3, 81559, 81079, 550.54.14, GPU-2b, 9.0, Disabled\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "NVIDIA GeForce RTX 4090", MemoryBytes: 24564 << 20, MemoryFreeBytes: 23012 << 20, DriverVersion: "550.54.14", ComputeCapability: "8.9"},
			{ID: "cuda:1", Kind: "cuda", Name: "NVIDIA H100 80GB HBM3", MemoryBytes: 81559 << 20, MemoryFreeBytes: 81079 << 20, DriverVersion: "550.54.14", ComputeCapability: "9.0"},
		}, nil},
		{"an old driver without the capability", "0, Tesla K80, 11441, 11439, 470.256.02, GPU-1a\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "Tesla K80", MemoryBytes: 11441 << 20, MemoryFreeBytes: 11439 << 20, DriverVersion: "470.256.02"},
		}, nil},
		{"memory shared with the CPU: a DGX Spark", "0, NVIDIA GB10, [N/A], [N/A], 580.95.05, GPU-1a, 12.1, [N/A]\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "NVIDIA GB10", DriverVersion: "580.95.05", ComputeCapability: "12.1"},
		}, nil},
		{"memory shared with the CPU: a Jetson", "0, Orin (nvgpu), [N/A], [N/A], [N/A], 9ee4e8d9-5c1e-5aa5-aa2f-1c3b4d5e6f70, 8.7, N/A\r\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "Orin (nvgpu)", ComputeCapability: "8.7"},
		}, nil},
		{"an old word for what a laptop's card does not tell", "0, GeForce 940MX, 2004, [Not Supported], 418.226.00, GPU-1a\n", []ops.Device{
			{ID: "cuda:0", Kind: "cuda", Name: "GeForce 940MX", MemoryBytes: 2004 << 20, MemoryFreeBytes: 2004 << 20, DriverVersion: "418.226.00"},
		}, nil},
		{"a card that is lost beside one that is well", "0, NVIDIA RTX A6000, [GPU is lost], [GPU is lost], 550.54.14, GPU-1a, 8.6, [N/A]\n1, NVIDIA RTX A6000, 49140, 48000, 550.54.14, GPU-2b, 8.6, [N/A]\n", []ops.Device{
			{ID: "cuda:1", Kind: "cuda", Name: "NVIDIA RTX A6000", MemoryBytes: 49140 << 20, MemoryFreeBytes: 48000 << 20, DriverVersion: "550.54.14", ComputeCapability: "8.6"},
		}, []string{"nvidia-smi: card 0 (NVIDIA RTX A6000) cannot be used: GPU is lost"}},
		{"a card without a name", "0, [Unknown Error], [Unknown Error], [Unknown Error], 550.54.14, GPU-1a, [N/A], [N/A]\n", nil, []string{"nvidia-smi: card 0 (of unknown name) cannot be used: Unknown Error"}},
		{"no cards", "No devices were found\n", nil, []string{"nvidia-smi: No devices were found"}},
		{"another version's library", "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.107\n", nil, []string{
			"nvidia-smi: Failed to initialize NVML: Driver/library version mismatch", "nvidia-smi: NVML library version: 550.107",
		}},
		{"nothing", "", nil, nil},
		{"nonsense", "\"a\n", nil, []string{`nvidia-smi: "a`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problems := readNVIDIA(c.text)
			if diff := cmp.Diff(c.want, visibleNVIDIA(got), cmpopts.EquateEmpty()) + cmp.Diff(c.problems, problems); diff != "" {
				t.Error(diff)
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
echo "0, Tesla K80, 11441, 11439, 470.256.02, GPU-1a"
`)
	if got, problems := findNVIDIA(t.Context()); len(got) != 1 || got[0].ID != "cuda:0" || len(problems) != 0 {
		t.Errorf("found %+v, %q", got, problems)
	}
}

// What nvidia-smi prints of a card that is divided, one that could be, and one
// that is divided into nothing.
const (
	migRows = `0, NVIDIA A100-SXM4-40GB, 40960, 38000, 535.129.03, GPU-1a, 8.0, Enabled
1, NVIDIA A100-SXM4-40GB, 40960, 40500, 535.129.03, GPU-2b, 8.0, Disabled
2, NVIDIA A100-SXM4-40GB, [N/A], [N/A], 535.129.03, GPU-3c, 8.0, Enabled
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
	want := []ops.Device{a100, a100}
	want[0].ID, want[0].Name, want[0].MemoryBytes, want[0].MemoryFreeBytes = "cuda:0", "NVIDIA A100-SXM4-40GB (MIG, instance 1 of 2)", 19968<<20, 19949<<20
	want[1].ID, want[1].Name, want[1].MemoryBytes, want[1].MemoryFreeBytes = "cuda:1", "NVIDIA A100-SXM4-40GB", 40960<<20, 40500<<20
	got, problems := findNVIDIA(t.Context())
	if diff := cmp.Diff(want, got) + cmp.Diff([]string{"cuda:2 (NVIDIA A100-SXM4-40GB) is in MIG mode and has no instance to run on: `nvidia-smi mig -cgi` makes one"}, problems); diff != "" {
		t.Error(diff)
	}
}

func TestADriverThatHangsIsNotWaitedForLongerThanItsTime(t *testing.T) {
	program(t, "sleep 600 & sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, problems := findNVIDIA(ctx); len(got) != 0 || len(problems) != 1 || !strings.Contains(problems[0], "does not answer") {
		t.Errorf("found %+v, %q", got, problems)
	}
}

func TestADriverThatFailsIsNoDevice(t *testing.T) {
	for script, want := range map[string]string{
		`echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."; exit 9`: "nvidia-smi: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
		`exit 12`:      "nvidia-smi: exit status 12",
		`yes "0, RTX"`: "nvidia-smi: it prints without end",
		`echo 'Field "index" is not a valid field to query.'; exit 2`: `nvidia-smi: Field "index" is not a valid field to query.`,
	} {
		program(t, script)
		if got, problems := findNVIDIA(t.Context()); len(got) != 0 || !slices.Equal(problems, []string{want}) {
			t.Errorf("%s: found %+v, %q", script, got, problems)
		}
	}
}

func TestAWarningOfNVIDIASMIHidesNoCard(t *testing.T) {
	program(t, `echo "0, NVIDIA GeForce RTX 3090, 24576, 24000, 550.54.14, GPU-1a, 8.6, [N/A]"
echo "WARNING: infoROM is corrupted at gpu 0000:02:00.0"; exit 14`)
	if got, problems := findNVIDIA(t.Context()); len(got) != 1 || got[0].MemoryFreeBytes != 24000<<20 || len(problems) != 1 {
		t.Errorf("found %+v, %q", got, problems)
	}
}

func TestCardsThatTheEnvironmentHidesAreNotThere(t *testing.T) {
	program(t, `for i in 0 1 2; do echo "$i, card $i, 24576, 24000, 550.54.14, GPU-${i}abc, 8.6, [N/A]"; done`)
	for visible, want := range map[string]string{
		"2,0": "cuda:0 card 2, cuda:1 card 0", "GPU-1": "cuda:0 card 1", "1,7,0": "cuda:0 card 1", "": "", "-1": "",
		"MIG-5a": "cuda:0 card 0, cuda:1 card 1, cuda:2 card 2",
	} {
		t.Setenv("CUDA_VISIBLE_DEVICES", visible)
		got, _ := findNVIDIA(t.Context())
		names := make([]string, len(got))
		for i, d := range got {
			names[i] = d.ID + " " + d.Name
		}
		if text := strings.Join(names, ", "); text != want {
			t.Errorf("of %q one sees %s, want %s", visible, text, want)
		}
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
