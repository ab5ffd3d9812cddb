package ops

import (
	"cmp"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	// A name is safe in a path, a URL and a shell line, and cannot be taken
	// for a flag.
	name   = shaped(`^[a-z0-9][a-z0-9._-]*$`, 1, 63)
	model  = shaped(`^[A-Za-z0-9][A-Za-z0-9._-]*$`, 1, 128)
	device = regexp.MustCompile(`^(auto|cpu|[a-z]+(:[0-9]{1,3})?|[a-z]+:[0-9]{1,3}(,[a-z]+:[0-9]{1,3}){1,15})$`)
)

// firstError returns the first of errs that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRequired(field, value string) error {
	if value == "" {
		return Invalid(field, "must be given")
	}
	return nil
}

// checkName accepts "" and names of hives, workers and engines.
func checkName(field, value string) error {
	if value == "" || name.MatchString(value) {
		return nil
	}
	return Invalid(field, "must be lower-case letters, digits, '.', '_' or '-', at most 63 and not beginning with a sign, got %q", clip(value))
}

// checkEngine accepts "" and the engines that hives know, whether they have them or
// not, and auto, which leaves the choice to them.
func checkEngine(value string) error {
	names := []string{"auto", "builtin", "llamacpp", "command"}
	if value == "" || value == EngineRPC || slices.Contains(names, value) {
		return nil
	}
	e := Invalid("worker", "there is no engine %q", clip(value))
	if near := Nearest(value, names); near != "" {
		return e.WithHint("did you mean %q? The engines are %s", near, strings.Join(names[1:], ", "))
	}
	return e.WithHint("the engines are %s; auto leaves the choice to the hive", strings.Join(names[1:], ", "))
}

// CheckModelID reports whether id can name a model's folder: letters, digits,
// '.', '_' and '-', at most 128, beginning with a letter or digit, and no "..".
func CheckModelID(id string) error {
	return firstError(checkRequired("id", id), checkModelID(id))
}

func checkModelID(value string) error {
	if value == "" || model.MatchString(value) && !strings.Contains(value, "..") {
		return nil
	}
	return Invalid("id", "must be letters, digits, '.', '_' or '-', at most 128, beginning with a letter or digit and without \"..\", got %q", clip(value))
}

// checkModel accepts whatever could name or locate a model.
func checkModel(field, value string) error {
	if len(value) > 4096 || strings.IndexFunc(value, unicode.IsControl) >= 0 {
		return Invalid(field, "must be at most 4096 bytes without control characters, got %q", clip(value))
	}
	return nil
}

func checkDevice(value string) error {
	if value == "" || device.MatchString(value) {
		return nil
	}
	return Invalid("device", "must be auto or cpu, or a kind and a number as cuda:0, of which there may be several with commas between, got %q", clip(value))
}

// checkFlags bounds an engine's settings; what they mean is the engine's.
func checkFlags(list []string) error {
	if len(list) > 64 {
		return Invalid("flags", "must be at most 64, got %d", len(list))
	}
	for _, f := range list {
		name, _, _ := strings.Cut(f, "=")
		if len(f) > 4096 || strings.Trim(name, "-") == "" || strings.IndexFunc(f, unicode.IsControl) >= 0 {
			return Invalid("flags", "must each be a name or name=value of at most 4096 bytes without control characters, got %q", clip(f))
		}
	}
	return nil
}

// checkCommand wants a command line where the engine is one, and only there.
func checkCommand(engine, line string) error {
	const name = "command"
	switch {
	case engine == name && line == "":
		return Invalid(name, "must be given for the engine called command")
	case engine != name && line != "":
		return Invalid(name, "is for the engine called command alone: add --engine command")
	case len(line) > 4096 || strings.IndexFunc(line, unicode.IsControl) >= 0:
		return Invalid(name, "must be at most 4096 bytes without control characters, got %q", clip(line))
	case line != "" && !strings.Contains(line, "{socket}") && !strings.Contains(line, "{port}"):
		return Invalid(name, "must say where to listen: either {socket} or {port}")
	}
	return nil
}

// checkPath accepts "" and absolute paths: where a daemon is, nobody knows.
func checkPath(field, value string) error {
	if value != "" && (!path.IsAbs(value) || strings.ContainsFunc(value, unicode.IsControl)) {
		return Invalid(field, "must be an absolute path, got %q", clip(value))
	}
	return nil
}

// checkSSHWord refuses what ssh would take for a flag, and anything that no
// host or account name contains.
func checkSSHWord(field, value string) error {
	if strings.HasPrefix(value, "-") || strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("'\"\\;&|<>`$(){}*?!#", r)
	}) {
		return Invalid(field, "must not begin with '-' or hold spaces, quotes or shell characters, got %q", clip(value))
	}
	return nil
}

func checkRange[N cmp.Ordered](field string, value, low, high N) error {
	if value < low || value > high {
		return Invalid(field, "must be between %v and %v, got %v", low, high, value)
	}
	return nil
}

// checkCount is checkRange for a number from 1 of which 0 leaves the choice open.
func checkCount(field string, value, high int) error {
	if value == 0 {
		return nil
	}
	if value < 0 || value > high {
		return Invalid(field, "must be between 1 and %d, or 0 for the default, got %d", high, value)
	}
	return nil
}

// checkOptional is checkRange for a field that may be absent. NaN is refused.
func checkOptional[N int | int64 | float64](field string, value *N, low, high N) error {
	if value == nil {
		return nil
	}
	if math.IsNaN(float64(*value)) {
		return Invalid(field, "must be a number")
	}
	return checkRange(field, *value, low, high)
}

// clip keeps an error message short when the value is not.
func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}
