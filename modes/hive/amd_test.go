package hive

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAMDsCardsAreReadFromTheirDriver(t *testing.T) {
	root := tree(t, map[string]string{
		"class/drm/card0/device/vendor":                  "0x8086", // not AMD's
		"class/drm/card0/device/mem_info_vram_total":     "1",
		"class/drm/card2/device/vendor":                  "0x1002",
		"class/drm/card2/device/product_name":            "AMD Instinct MI300X OAM",
		"class/drm/card2/device/mem_info_vram_total":     "206141652992",
		"class/drm/card2/device/mem_info_vram_used":      "300318720",
		"class/drm/card10/device/vendor":                 "0x1002",
		"class/drm/card10/device/device":                 "0x744c",
		"class/drm/card10/device/mem_info_vram_total":    "25753026560",
		"class/drm/card10/device/mem_info_vram_used":     "99999999999",
		"class/drm/card11/device/vendor":                 "0x1002", // another driver's
		"class/drm/card12/device/vendor":                 "0x1002", // in the processor: a Ryzen AI MAX
		"class/drm/card12/device/product_name":           "Radeon 8060S",
		"class/drm/card12/device/mem_info_vram_total":    "8589934592",
		"class/drm/card12/device/mem_info_vram_used":     "155189248",
		"class/drm/card12/device/mem_info_gtt_total":     "128849018880",
		"class/drm/card12/device/hwmon/hwmon4/in1_input": "742",
		"module/amdgpu/version":                          "6.10.5",
	})
	want := []ops.Device{
		{ID: "rocm:0", Kind: "rocm", Name: "AMD Instinct MI300X OAM", MemoryBytes: 206141652992, MemoryFreeBytes: 205841334272, DriverVersion: "6.10.5"},
		{ID: "rocm:1", Kind: "rocm", Name: "AMD GPU 0x744c", MemoryBytes: 25753026560, DriverVersion: "6.10.5"},
		{ID: "rocm:2", Kind: "rocm", Name: "Radeon 8060S", MemoryBytes: 8 << 30, MemoryFreeBytes: 8434745344, DriverVersion: "6.10.5", SharesMemory: true},
	}
	if diff := cmp.Diff(want, findAMD(t.Context(), root)); diff != "" {
		t.Error(diff)
	}
	if list := findAMD(t.Context(), t.TempDir()); len(list) != 0 {
		t.Errorf("without a driver there are %+v", list)
	}
}

func TestWhatROCmsToolPrintsIsRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []ops.Device
	}{
		{"a card and the processor's own GPU", `{"card0": {"VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "692142080", "GTT Total Memory (B)": "33554432000", "GTT Total Used Memory (B)": "26079232", "Card Series": "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", "Card Model": "0x73bf", "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU": "001", "Node ID": "1", "GFX Version": "gfx1030"},
"card1": {"VRAM Total Memory (B)": "67108864", "VRAM Total Used Memory (B)": "26079232", "GTT Total Memory (B)": "33554432000", "GTT Total Used Memory (B)": "26079232", "Card Series": "Raphael", "Card Model": "0x164e", "GFX Version": "gfx1036"},
"system": {"Driver version": "6.8.5"}}`, []ops.Device{
			{ID: "rocm:0", Kind: "rocm", Name: "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", MemoryBytes: 17163091968, MemoryFreeBytes: 17163091968 - 692142080, DriverVersion: "6.8.5"},
			{ID: "rocm:1", Kind: "rocm", Name: "Raphael", MemoryBytes: 67108864, MemoryFreeBytes: 67108864 - 26079232, DriverVersion: "6.8.5", SharesMemory: true},
		}},
		{"an old release, which calls things otherwise", `{"card0": {"Card series": "Vega 20", "Card model": "0x0834", "Card vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU": "D16317", "VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "7774208"}, "system": {"Driver version": "5.0.73"}}`, []ops.Device{
			{ID: "rocm:0", Kind: "rocm", Name: "Vega 20", MemoryBytes: 17163091968, MemoryFreeBytes: 17155317760, DriverVersion: "5.0.73"},
		}},
		{"a card that tells nothing of its memory", `{"card0": {"Card Series": "N/A", "Card Model": "N/A", "VRAM Total Memory (B)": "N/A", "VRAM Total Used Memory (B)": "N/A"}}`, []ops.Device{
			{ID: "rocm:0", Kind: "rocm", Name: "AMD GPU card0"},
		}},
		{"no cards", "WARNING: No JSON data to report\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, readROCm([]byte(c.text))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestROCmsToolNamesWhatTheDriverDoesNot(t *testing.T) {
	const two = `WARNING: AMD GPU device(s) is/are in a low-power state.
{"card1": {"Card Series": "AMD Radeon RX 7900 XTX", "Card Model": "0x744c", "VRAM Total Memory (B)": "25753026560", "VRAM Total Used Memory (B)": "27840512"},
"card10": {"Card series": "N/A", "Card model": "Navi 33", "VRAM Total Memory (B)": "8573157376", "VRAM Total Used Memory (B)": "99999999999"},
"system": {"Driver version": "6.10.5"}}`
	tool(t, "rocm-smi", "cat <<'E'\n"+two+"\nE\n")
	want := []ops.Device{
		{ID: "rocm:0", Kind: "rocm", Name: "AMD Radeon RX 7900 XTX", MemoryBytes: 25753026560, MemoryFreeBytes: 25725186048, DriverVersion: "6.10.5"},
		{ID: "rocm:1", Kind: "rocm", Name: "Navi 33", MemoryBytes: 8573157376, DriverVersion: "6.10.5"},
	}
	if diff := cmp.Diff(want, findAMD(t.Context(), t.TempDir())); diff != "" {
		t.Error("without the driver's files", diff)
	}
	root := tree(t, map[string]string{
		"class/drm/card1/device/vendor": "0x1002", "class/drm/card1/device/device": "0x744c", "class/drm/card1/device/mem_info_vram_total": "25753026560",
		"class/drm/card2/device/vendor": "0x1002", "class/drm/card2/device/product_name": "its own name", "class/drm/card2/device/mem_info_vram_total": "1",
	})
	if got := findAMD(t.Context(), root); len(got) != 2 || got[0].Name != "AMD Radeon RX 7900 XTX" || got[1].Name != "its own name" || got[0].MemoryFreeBytes != 25753026560 {
		t.Errorf("with them there are %+v", got)
	}
	for _, text := range []string{"", "{", "[]", `{"card0": []}`, "ERROR: no driver"} {
		if got := readROCm([]byte(text)); len(got) != 0 {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestAMacsGPUSharesItsMemory(t *testing.T) {
	cpu := ops.Device{ID: "cpu", Kind: "cpu", Name: "Apple M2", Cores: 8, MemoryBytes: 16 << 30, MemoryFreeBytes: 4 << 30}
	want := ops.Device{ID: "metal:0", Kind: "metal", Name: "Apple M2", MemoryBytes: 16 << 30, MemoryFreeBytes: 4 << 30, SharesMemory: true}
	gpus := []ops.Device{metal(cpu)}
	share(cpu, gpus)
	if diff := cmp.Diff(want, gpus[0]); diff != "" {
		t.Error(diff)
	}
	if list := findApple(cpu); (len(list) == 1) != (runtime.GOOS == "darwin" && runtime.GOARCH == "arm64") {
		t.Errorf("on %s/%s there is %+v", runtime.GOOS, runtime.GOARCH, list)
	}
}
