package hive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// nvidiaFields are the columns asked of nvidia-smi (nvidia-smi
// --help-query-gpu); memory is in MiB. Drivers before 510 do not know the last two.
var nvidiaFields = []string{"index", "name", "memory.total", "memory.free", "driver_version", "uuid", "compute_cap", "mig.mode.current"}

// fewestNVIDIA is how many of the columns every driver knows.
const fewestNVIDIA = 6

// nvidiaWithin bounds nvidia-smi, which wakes sleeping cards and can hang on a
// broken one.
const nvidiaWithin = 10 * time.Second

// noAnswer is the problem with an nvidia-smi that hangs (see [machine.looking]).
const noAnswer = "nvidia-smi does not answer: a card or its driver hangs; it is asked again within 5 minutes"

// unknownField is the exit status of nvidia-smi for an argument that it does not
// know (nvidia-smi(1), "return value").
const unknownField = 2

// nvidiaCard is a card as nvidia-smi tells of it.
type nvidiaCard struct {
	ops.Device
	uuid    string
	divided bool // into instances (MIG)
}

// findNVIDIA reads the NVIDIA cards, where the driver's nvidia-smi is. Cards that
// cannot be used are left out; problems say why, for a person.
func findNVIDIA(ctx context.Context) (list []ops.Device, problems []string) {
	path, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, nvidiaWithin)
	defer cancel()
	cards, problems := askNVIDIA(ctx, path)
	if slices.ContainsFunc(cards, func(c nvidiaCard) bool { return c.divided }) {
		if out, err := printed(ctx, path, "-q", "-x"); err == nil {
			var more []string
			cards, more = readInstances(out, cards)
			problems = append(problems, more...)
		}
	}
	return visibleNVIDIA(cards), problems
}

// askNVIDIA has nvidia-smi print its table. It prints the cards that are well
// also where it fails because of another, or has a warning to give.
func askNVIDIA(ctx context.Context, path string) (cards []nvidiaCard, problems []string) {
	for known := len(nvidiaFields); known >= fewestNVIDIA; known-- {
		out, err := printed(ctx, path, "--query-gpu="+strings.Join(nvidiaFields[:known], ","), "--format=csv,noheader,nounits")
		cards, problems = readNVIDIA(string(out))
		if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() == unknownField && ctx.Err() == nil {
			continue
		}
		if ctx.Err() != nil {
			return cards, []string{noAnswer}
		}
		if err != nil && len(cards)+len(problems) == 0 {
			problems = []string{"nvidia-smi: " + err.Error()}
		}
		break
	}
	return cards, problems
}

// printed is what a program prints, also where it fails.
func printed(ctx context.Context, path string, args ...string) ([]byte, error) {
	return process.Ask(ctx, process.Launch{Path: path, Args: args, OutputOnly: true})
}

// mostMessages is how many messages are passed on: a broken program may have a lot to say.
const mostMessages = 16

// readNVIDIA reads what nvidia-smi printed: a line for each card, and messages.
// A field that a card does not have, as "[N/A]", is left empty. A card one of
// whose fields is an error, as "[GPU is lost]", is a problem and no device.
func readNVIDIA(text string) (cards []nvidiaCard, problems []string) {
	for line := range strings.Lines(text) {
		row := strings.Split(strings.TrimSpace(line), ", ")
		if _, err := strconv.ParseUint(row[0], 10, 16); err != nil || len(row) < fewestNVIDIA {
			if message := strings.Join(row, ", "); message != "" && len(problems) < mostMessages {
				problems = append(problems, "nvidia-smi: "+process.Clip(message))
			}
			continue
		}
		if i := slices.IndexFunc(row, broken); i >= 0 {
			problems = append(problems, fmt.Sprintf("nvidia-smi: card %s (%s) cannot be used: %s", row[0], cmp.Or(known(row[1]), "of unknown name"), strings.Trim(row[i], "[]")))
			continue
		}
		row = append(row, "", "") // what an old driver does not know
		c := nvidiaCard{uuid: row[5], divided: row[7] == "Enabled", Device: ops.Device{
			ID: "cuda:" + row[0], Kind: "cuda", Name: known(row[1]), MemoryBytes: mebibytes(row[2]), MemoryFreeBytes: mebibytes(row[3]),
			DriverVersion: known(row[4]), ComputeCapability: known(row[6]),
		}}
		if known(row[3]) == "" {
			c.MemoryFreeBytes = c.MemoryBytes // as much as nobody says
		}
		cards = append(cards, c)
	}
	return cards, problems
}

// readInstances gives divided cards the memory of their first instance, which is
// the one that a program sees of each (NVIDIA's MIG user guide, "CUDA device
// enumeration"), and leaves out those without any. text is what nvidia-smi -q -x
// prints, where the cards come in the order of their numbers.
func readInstances(text []byte, all []nvidiaCard) (usable []nvidiaCard, problems []string) {
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
	if d.Decode(&log) != nil || len(log.Cards) != len(all) {
		return all, nil
	}
	for i, c := range log.Cards {
		card := all[i]
		if c.Mode == "Enabled" && len(c.Instances) == 0 {
			problems = append(problems, fmt.Sprintf("%s (%s) is in MIG mode and has no instance to run on: `nvidia-smi mig -cgi` makes one", card.ID, card.Name))
			continue
		}
		if c.Mode == "Enabled" {
			card.Name += fmt.Sprintf(" (MIG, instance 1 of %d)", len(c.Instances))
			card.MemoryBytes = mebibytes(strings.TrimSuffix(c.Instances[0].Total, "MiB"))
			card.MemoryFreeBytes = mebibytes(strings.TrimSuffix(c.Instances[0].Free, "MiB"))
		}
		usable = append(usable, card)
	}
	return usable, problems
}

// untold are the words of nvidia-smi for what a card does not have or the account
// may not know.
var untold = []string{"[N/A]", "N/A", "[Not Supported]", "[Not Found]", "[Insufficient Permissions]", "[Requested functionality has been deprecated]"}

// broken reports whether a field is the word for an error.
func broken(field string) bool {
	return strings.HasPrefix(field, "[") && strings.HasSuffix(field, "]") && !slices.Contains(untold, field)
}

func known(field string) string {
	if slices.Contains(untold, field) || broken(field) {
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
