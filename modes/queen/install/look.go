package install

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// Facts is what a machine is, as it says itself.
type Facts struct {
	Host     string // its own name
	User     string
	Home     string // the account's home folder
	Platform Platform
	Devices  []ops.Device
	DiskFree uint64 // bytes, where the binary goes
	Clock    time.Time
	Data     string // folder of the binaries
	State    string // folder of the hive's state
	Systemd  bool   // a service manager of the account's own answers

	Writable   bool     // Data can be made and written
	Executable bool     // what is written there can be run
	Claim      *Claim   // the queen that has a hive here, if one has
	Current    string   // name of the binary that the hive's service starts
	Binaries   []string // names of those that are there
}

// Claim says whose the hive on a machine is.
type Claim struct {
	Queen string `json:"queen"` // the queen's id
	Of    string `json:"of"`    // account and machine of that queen, for a person
	Hive  string `json:"hive"`  // the name it has there
}

// Look finds out what the machine is. data is the folder for the binaries; ""
// is the usual one.
func Look(ctx context.Context, s Shell, data string) (Facts, error) {
	text, err := run(ctx, s, "look", data)
	if err != nil {
		return Facts{}, fmt.Errorf("look at the machine: %w", err)
	}
	return parseFacts(text)
}

// parseFacts reads what look.sh prints.
func parseFacts(text string) (Facts, error) {
	one, gpus, amd := map[string]string{}, []string(nil), []string(nil)
	f := Facts{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch {
		case !ok:
			continue // something that the account's profile printed
		case key == "gpu":
			gpus = append(gpus, value)
		case key == "amd":
			amd = append(amd, value)
		case key == "binary":
			f.Binaries = append(f.Binaries, value)
		default:
			one[key] = value
		}
	}
	if one["os"] == "" || one["home"] == "" || one["data"] == "" {
		return f, ops.Errorf(ops.CodeUnsupported, "the machine does not answer as a Unix system does: %q", clip(text)).
			WithHint("a hive needs an account whose SSH runs commands under /bin/sh")
	}
	f.Host, f.User, f.Home, f.Data, f.Current = one["host"], one["user"], one["home"], one["data"], one["current"]
	f.State = path.Join(f.Home, ".local/state/rbee")
	f.Platform = platform(one["os"], one["arch"])
	f.DiskFree = kib(one["disk_free_kib"])
	f.Clock = time.Unix(int64(number(one["now"])), 0) //nolint:gosec // seconds
	f.Systemd, f.Writable, f.Executable = one["systemd"] == "yes", one["writable"] == "yes", one["executable"] == "yes"
	f.Devices = devices(one, gpus, amd)
	if owner := one["owner"]; owner != "" {
		f.Claim = &Claim{}
		if json.Unmarshal([]byte(owner), f.Claim) != nil {
			f.Claim = &Claim{Of: "somebody else"}
		}
	}
	return f, nil
}

func clip(s string) string { return s[:min(len(s), 120)] }

func number(s string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimSpace(s), 10, 64) // what is no number is unknown, which is 0
	return n
}

func kib(s string) uint64 { return number(s) << 10 }

// devices makes devices of what the script read.
func devices(one map[string]string, gpus, amd []string) []ops.Device {
	cpu := ops.Device{
		ID: "cpu", Kind: "cpu", Name: one["cpu"], Cores: int(number(one["cores"])), //nolint:gosec // a count
		MemoryBytes: kib(one["memory_kib"]), MemoryFreeBytes: kib(one["memory_free_kib"]),
	}
	if cpu.Name == "" {
		cpu.Name = one["arch"]
	}
	var sets []string
	has := strings.Fields(one["flags"])
	for _, set := range []string{"avx2", "fma", "avx512f", "avx512_vnni", "asimd", "asimddp"} { // as hives tell of them
		if slices.Contains(has, set) {
			sets = append(sets, set)
		}
	}
	cpu.InstructionSets = strings.Join(sets, " ")
	list := []ops.Device{cpu}
	for _, line := range gpus {
		c := strings.Split(line, ", ")
		for i := range c {
			if strings.HasPrefix(c[i], "[") { // [N/A] and its like
				c[i] = ""
			}
		}
		if len(c) == 5 || len(c) == 6 { // an old driver knows no capability
			c = append(c, "")
			list = append(list, ops.Device{
				ID: "cuda:" + c[0], Kind: "cuda", Name: c[1], MemoryBytes: number(c[2]) << 20, MemoryFreeBytes: number(c[3]) << 20,
				DriverVersion: c[4], ComputeCapability: c[5],
			})
		}
	}
	for _, line := range amd {
		if c := strings.SplitN(line, ", ", 4); len(c) == 4 {
			total := number(c[1])
			list = append(list, ops.Device{
				ID: "rocm:" + c[0], Kind: "rocm", Name: c[3], MemoryBytes: total, MemoryFreeBytes: total - min(number(c[2]), total),
			})
		}
	}
	if one["metal"] != "" {
		list = append(list, ops.Device{ID: "metal:0", Kind: "metal", Name: one["metal"]})
	}
	for i := range list { // a GPU that tells of no memory has the machine's
		if d := &list[i]; d.MemoryBytes == 0 && d.Kind != "cpu" {
			d.SharesMemory, d.MemoryBytes, d.MemoryFreeBytes = true, cpu.MemoryBytes, cpu.MemoryFreeBytes
		}
	}
	return list
}

// spare is how much must be free beside the binary: logs, and the built-in
// model.
const spare = 64 << 20

// Problems lists what would be in the way of a hive whose binary has size
// bytes; empty when nothing is.
func (f Facts) Problems(size int64) []string {
	list := []string{}
	if !f.Platform.Known() {
		list = append(list, fmt.Sprintf("rbee does not run on %s", f.Platform))
	}
	if !f.Writable {
		list = append(list, fmt.Sprintf("the account cannot write to %s", f.Data))
	} else if !f.Executable {
		list = append(list, fmt.Sprintf("programs in %s cannot be run: the filesystem is mounted noexec", f.Data))
	}
	if need := uint64(size) + spare; f.DiskFree < need { //nolint:gosec // a file's size
		list = append(list, fmt.Sprintf("%d MB are free in %s, and a hive needs %d", f.DiskFree>>20, f.Data, need>>20))
	}
	return list
}
