package hive

import (
	"context"
	"encoding/csv"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// nvidiaFields are the columns asked of nvidia-smi (nvidia-smi
// --help-query-gpu); memory is in MiB. Drivers before 510 do not know the last.
var nvidiaFields = []string{"index", "name", "memory.total", "memory.free", "driver_version", "compute_cap"}

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
	for known := len(nvidiaFields); known >= len(nvidiaFields)-1; known-- {
		cmd := exec.CommandContext(ctx, path, "--query-gpu="+strings.Join(nvidiaFields[:known], ","), "--format=csv,noheader,nounits")
		cmd.WaitDelay = time.Second
		if out, err := cmd.Output(); err == nil {
			return readNVIDIA(string(out))
		}
	}
	return nil
}

// readNVIDIA reads what nvidia-smi printed. A field that a card does not have,
// as "[N/A]", is left empty.
func readNVIDIA(text string) []ops.Device {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace, r.LazyQuotes, r.FieldsPerRecord = true, true, -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil
	}
	var list []ops.Device
	for _, row := range rows {
		if len(row) < len(nvidiaFields)-1 {
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
		list = append(list, d)
	}
	return list
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
