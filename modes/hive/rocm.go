package hive

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// rocmWithin bounds rocm-smi, which is a script and slow to start.
const rocmWithin = 10 * time.Second

// findROCm asks rocm-smi for the cards, where it is.
func findROCm(ctx context.Context) []ops.Device {
	path, err := exec.LookPath("rocm-smi")
	if err != nil {
		if path, err = exec.LookPath("/opt/rocm/bin/rocm-smi"); err != nil {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, rocmWithin)
	defer cancel()
	out, err := printed(ctx, path, "--showproductname", "--showmeminfo", "vram", "gtt", "--showdriverversion", "--json")
	if err != nil {
		return nil
	}
	return readROCm(out)
}

// readROCm reads what rocm-smi --json printed: an object for each card, called
// card0 and so on, and one called system. All values are texts; how the keys are
// written has changed from release to release ("Card series", "Card Series").
func readROCm(text []byte) []ops.Device {
	if i := strings.IndexByte(string(text), '{'); i > 0 { // warnings come before
		text = text[i:]
	}
	var all map[string]map[string]any
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	driver := field(all["system"], "driver version")
	ids := slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(id string) bool { return !strings.HasPrefix(id, "card") })
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	var list []ops.Device
	for _, id := range ids {
		card := all[id]
		total, used := number(field(card, "vram total memory (b)")), number(field(card, "vram total used memory (b)"))
		name := field(card, "card series")
		if name == "" || strings.HasPrefix(name, "0x") {
			name = cmp.Or(field(card, "card model"), withoutName+id)
		}
		list = append(list, ops.Device{
			ID: "rocm:" + strconv.Itoa(len(list)), Kind: "rocm", Name: name, DriverVersion: driver,
			MemoryBytes: total, MemoryFreeBytes: total - min(used, total),
			SharesMemory: inProcessor(total, number(field(card, "gtt total memory (b)"))),
		})
	}
	return list
}

// field is the text called name, however that is written, or "".
func field(of map[string]any, name string) string {
	for key, v := range of {
		if text, ok := v.(string); ok && strings.EqualFold(key, name) && !strings.EqualFold(text, "N/A") {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
