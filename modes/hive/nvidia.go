package hive

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// nvidiaFields are the columns asked of nvidia-smi (nvidia-smi
// --help-query-gpu); memory is in MiB. Drivers before 510 do not know the last two.
var nvidiaFields = []string{"index", "name", "memory.total", "memory.free", "driver_version", "compute_cap", "mig.mode.current"}

// fewestNVIDIA is how many of the columns every driver knows.
const fewestNVIDIA = 5

// nvidiaWithin bounds nvidia-smi, which wakes sleeping cards and can hang on a
// broken one.
const nvidiaWithin = 10 * time.Second

// findNVIDIA reads the NVIDIA cards, where the driver's nvidia-smi is.
func findNVIDIA(ctx context.Context) []ops.Device {
	path, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, nvidiaWithin)
	defer cancel()
	for known := len(nvidiaFields); known >= fewestNVIDIA && ctx.Err() == nil; known-- {
		out, err := printed(ctx, path, "--query-gpu="+strings.Join(nvidiaFields[:known], ","), "--format=csv,noheader,nounits")
		if err != nil {
			continue
		}
		list, divided := readNVIDIA(string(out))
		if divided {
			if out, err := printed(ctx, path, "-q", "-x"); err == nil {
				readInstances(out, list)
			}
		}
		return list
	}
	return nil
}

// printed is what a program prints. One that hangs, or leaves a process behind
// that keeps its output open, ends with ctx.
func printed(ctx context.Context, path string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	return cmd.Output()
}

// readNVIDIA reads what nvidia-smi printed, and says whether a card is divided
// into instances (MIG). A field that a card does not have, as "[N/A]", is left
// empty.
func readNVIDIA(text string) (list []ops.Device, divided bool) {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace, r.LazyQuotes, r.FieldsPerRecord = true, true, -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, false
	}
	for _, row := range rows {
		if len(row) < fewestNVIDIA {
			continue
		}
		if _, err := strconv.ParseUint(row[0], 10, 16); err != nil {
			continue // a message, not a card
		}
		d := ops.Device{
			ID: "cuda:" + row[0], Kind: "cuda", Name: known(row[1]), MemoryBytes: mebibytes(row[2]), MemoryFreeBytes: mebibytes(row[3]),
			DriverVersion: known(row[4]),
		}
		if len(row) > 5 {
			d.ComputeCapability = known(row[5])
		}
		divided = divided || len(row) > 6 && row[6] == "Enabled"
		list = append(list, d)
	}
	return list, divided
}

// readInstances gives divided cards the memory of their first instance, which is
// the one that a program sees of each (NVIDIA's MIG user guide, "CUDA device
// enumeration"). text is what nvidia-smi -q -x prints, where the cards come in
// the order of their numbers.
func readInstances(text []byte, list []ops.Device) {
	type memory struct {
		Total string `xml:"total"`
		Free  string `xml:"free"`
	}
	var log struct {
		Cards []struct {
			Mode      string   `xml:"mig_mode>current_mig"`
			Instances []memory `xml:"mig_devices>mig_device>fb_memory_usage"`
		} `xml:"gpu"`
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	if d.Decode(&log) != nil || len(log.Cards) != len(list) {
		return
	}
	for i, c := range log.Cards {
		switch {
		case c.Mode != "Enabled":
		case len(c.Instances) == 0:
			list[i].Name += " (MIG, no instance)"
			list[i].MemoryFreeBytes = 0
		default:
			list[i].Name += fmt.Sprintf(" (MIG, instance 1 of %d)", len(c.Instances))
			list[i].MemoryBytes = mebibytes(strings.TrimSuffix(c.Instances[0].Total, "MiB"))
			list[i].MemoryFreeBytes = mebibytes(strings.TrimSuffix(c.Instances[0].Free, "MiB"))
		}
	}
}

func known(field string) string {
	if strings.HasPrefix(field, "[") {
		return ""
	}
	return strings.TrimSpace(field)
}

func mebibytes(field string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(field), 10, 43)
	if err != nil {
		return 0
	}
	return n << 20
}
