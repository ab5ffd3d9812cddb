package hive

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/ops"
)

// sysfs is where Linux tells of devices.
const sysfs = "/sys"

// findAMD reads AMD's cards from the amdgpu driver's own files below root, which
// is [sysfs]. ROCm's tool, where it is, is asked for the names that those lack,
// and for all where there are no such files.
func findAMD(ctx context.Context, root string) []ops.Device {
	list := driverCards(root)
	if len(list) > 0 && !slices.ContainsFunc(list, nameless) {
		return list
	}
	told := findROCm(ctx)
	if len(list) == 0 {
		return told
	}
	for i := range list {
		if len(told) == len(list) && nameless(list[i]) && told[i].Name != "" { // both count by the bus
			list[i].Name = told[i].Name
		}
	}
	return list
}

// withoutName begins the name of a card whose name is not known.
const withoutName = "AMD GPU "

func nameless(d ops.Device) bool { return strings.HasPrefix(d.Name, withoutName) }

// driverCards reads the cards from the driver's files (the kernel's
// documentation, "GPU Driver: amdgpu, Memory and product information"): they are
// there without ROCm, and no tool has to be started.
func driverCards(root string) []ops.Device {
	totals, err := filepath.Glob(filepath.Join(root, "class/drm/card*/device/mem_info_vram_total"))
	if err != nil {
		return nil
	}
	slices.SortFunc(totals, func(a, b string) int { // card2 before card10
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	var list []ops.Device
	for _, path := range totals {
		card := filepath.Dir(path)
		if line(card, "vendor") != "0x1002" {
			continue
		}
		total, used := bytesIn(card, "mem_info_vram_total"), bytesIn(card, "mem_info_vram_used")
		d := ops.Device{
			ID: "rocm:" + strconv.Itoa(len(list)), Kind: "rocm", Name: line(card, "product_name"),
			MemoryBytes: total, MemoryFreeBytes: total - min(used, total), DriverVersion: line(root, "module/amdgpu/version"),
			SharesMemory: integrated(card, total),
		}
		if d.Name == "" { // as of cards that are no servers'
			d.Name = withoutName + line(card, "device")
		}
		list = append(list, d)
	}
	return list
}

// leastOfCard is less memory than any card has that a model is put on, in bytes.
const leastOfCard = 2 << 30

// inProcessor reports whether a GPU with so many bytes of memory of its own, which
// can use so many of the machine's (GTT), is one in the processor. What is set
// apart for those is a beginning, 512 MiB as a rule: they take what the machine has.
func inProcessor(own, machines uint64) bool { return own < leastOfCard && own < machines }

// integrated is [inProcessor] by the driver's files, of which one with the voltage
// of the northbridge is there for processors only (the kernel's documentation,
// "GPU Power/Thermal Controls and Monitoring").
func integrated(card string, own uint64) bool {
	machines := bytesIn(card, "mem_info_gtt_total")
	bridges, err := filepath.Glob(filepath.Join(card, "hwmon/hwmon*/in1_input"))
	return inProcessor(own, machines) || err == nil && len(bridges) > 0 && own < machines
}

// line is the only line of a file, or "" when it cannot be read.
func line(folder, name string) string {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// bytesIn is the number in a file, or 0.
func bytesIn(folder, name string) uint64 {
	n, err := strconv.ParseUint(line(folder, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
