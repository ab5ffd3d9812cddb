package llamacpp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// Oldest is the oldest build that can be used. It is of April 2025: those before
// do not listen on Unix sockets (llama.cpp pull request 12613), or only just.
const Oldest = 5100

// Version is what a llama-server says it is.
type Version struct {
	// Build is its number, as the 11669 of the release b11669; 0 where it was
	// built outside of llama.cpp's repository and knows none.
	Build int
	// Name is what it is called beside that, as 0.7.0; "" where it is not.
	Name string
}

// String is the version for a person: b11669, or its name, or "".
func (v Version) String() string {
	if v.Build > 0 {
		return "b" + strconv.Itoa(v.Build)
	}
	return v.Name
}

// check refuses a program that is too old.
func (v Version) check(program string) error {
	if v.Build == 0 || v.Build >= Oldest {
		return nil
	}
	e := ops.Errorf(ops.CodeUnsupported, "the %s at %s is too old: it is b%d, and rbee needs b%d or newer", Name, program, v.Build, Oldest).
		WithHint("%s", unusableHint(program))
	e.Field = "worker"
	return e
}

// numbered is the line of --version: "version: 5327 (27ebfcac)" of the older
// ones, "version: 0.7.0 (build 11669, commit 27ebfcac)" of those since they have
// names.
var numbered = regexp.MustCompile(`(?m)^version: (\S+) \((?:build (\d+))?`)

// leastBuild is the number below which a build counts as one without: a copy of
// the repository without its history counts from 1.
const leastBuild = 100

// readVersion reads what --version printed.
func readVersion(text string) (v Version, ok bool) {
	found := numbered.FindStringSubmatch(text)
	if found == nil {
		return v, false
	}
	number := found[2]
	if number == "" {
		number = found[1]
	} else {
		v.Name = found[1]
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		v.Name = found[1]
	} else if n >= leastBuild {
		v.Build = n
	}
	return v, true
}

// askWithin bounds how long a program may take to say what it is; those with
// backends for GPUs load them first.
const askWithin = 20 * time.Second

// slowAfter is after how much of that a person is told what is waited for.
const slowAfter = 2 * time.Second

// Ask runs the program to hear which version it is. One that cannot run here, as
// for want of a library, that is too old, or that has nothing to compute with
// ([ErrNoBackend]), is an error that says so.
func Ask(ctx context.Context, program string) (Version, error) {
	text, err := output(ctx, program, "--version")
	if err != nil {
		return Version{}, err
	}
	v, ok := readVersion(text)
	if !ok {
		e := ops.Errorf(ops.CodeUnsupported, "%s is no %s: asked for its version it says %q", program, Name, firstLine(text)).
			WithHint("%s", unusableHint(program))
		e.Field = "worker"
		return v, e
	}
	if err := v.check(program); err != nil {
		return v, err
	}
	return v, checkBackends(ctx, program)
}

// Device is what a llama-server can compute on, beside the CPU.
type Device struct {
	ID   string // as rbee calls it: vulkan:0
	Name string // as the backend does: NVIDIA GeForce RTX 4090
}

// Kind is the device's backend, as "vulkan".
func (d Device) Kind() string {
	kind, _, _ := strings.Cut(d.ID, ":")
	return kind
}

// deviceLine is a line of --list-devices: "  CUDA0: NVIDIA GeForce RTX 4090 (24080 MiB, 23000
// MiB free)".
var deviceLine = regexp.MustCompile(`(?m)^ +([A-Za-z]+)(\d*): (.*?)(?: \(\d+ MiB, \d+ MiB free\))?$`)

// Devices runs the program to hear what it can compute on here.
func Devices(ctx context.Context, program string) ([]Device, error) {
	text, err := output(ctx, program, "--list-devices")
	if err != nil {
		return nil, err
	}
	var list []Device
	for _, found := range deviceLine.FindAllStringSubmatch(text, -1) {
		kind := strings.ToLower(found[1])
		if kind == "mtl" {
			kind = "metal"
		}
		list = append(list, Device{ID: kind + ":" + cmp.Or(found[2], "0"), Name: found[3]})
	}
	return list, nil
}

// Accelerators are the kinds of devices, as "cuda vulkan", or "cpu" where there is none.
func Accelerators(devices []Device) string {
	var kinds []string
	for _, d := range devices {
		if kind := d.Kind(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return cmp.Or(strings.Join(kinds, " "), "cpu")
}

// output runs the program and returns what it prints. It says when that takes long.
func output(parent context.Context, program, about string) (string, error) {
	ctx, cancel := context.WithTimeout(parent, askWithin)
	defer cancel()
	slow := time.AfterFunc(slowAfter, func() {
		ops.Warn(parent, "engine_slow", "%s does not answer to %s: waiting, for %s at most", Name, about, askWithin)
	})
	defer slow.Stop()
	out, err := process.Ask(ctx, process.Launch{Path: program, Args: []string{about}, Env: environment(os.Environ(), program)})
	if err == nil {
		return string(out), nil
	}
	if parent.Err() != nil {
		return "", context.Cause(parent)
	}
	code, err := why(program, err)
	if ctx.Err() != nil {
		err = fmt.Errorf("it does not answer within %s", askWithin)
	}
	e := ops.Errorf(code, "%s cannot be run: %w%s", program, err, said(out)).WithHint("%s", unusableHint(program))
	e.Field = "worker"
	return "", e
}

// why is err, which came of running the program, without its path, and as what a
// person would say where the system's own words are for those who know it.
func why(program string, err error) (ops.Code, error) {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	missing := errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist)
	_, absent := os.Stat(program)
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return ops.CodeUnsupported, fmt.Errorf("it is no program for %s on %s: %w", runtime.GOOS, runtime.GOARCH, err)
	case missing && absent == nil:
		return ops.CodeUnsupported, errors.New("the loader that it was built for is not on this machine")
	case missing:
		return ops.CodeNotFound, err
	}
	return ops.CodeUnavailable, err
}

// unusableHint is what to do about a program that is of no use.
func unusableHint(program string) string { return instead(program, "brings one that can be used") }

// said is the last line of what a program wrote, as the end of a sentence.
func said(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return "; it says: " + process.Clip(last)
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return process.Clip(line)
}
