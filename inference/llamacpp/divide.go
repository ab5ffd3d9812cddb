package llamacpp

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/ops"
)

// divide adds to a start what a divided model wants: the addresses of its parts,
// and where there is a device of this machine's to use, that beside theirs.
// Between them and the GPUs of this machine the program divides by free memory.
func divide(ctx context.Context, s inference.Spec, l *process.Launch) error {
	if s.Parts == nil {
		return nil
	}
	addresses, err := s.Parts.Reach(ctx)
	if err != nil {
		return err
	}
	l.Args = append(l.Args, "--rpc", strings.Join(addresses, ","))
	if d := device(s.Device); d != "" {
		l.Args = append(l.Args, "--device", strings.Join(devices(d, len(addresses)), ","))
	}
	// The program aborts when a part is lost. It should do that at once, and not
	// write a trace with a debugger first.
	l.Env = append(l.Env, "GGML_NO_BACKTRACE=1")
	return nil
}

// CheckDivides refuses a program without the RPC backend, which cannot divide a model
// over machines: one that tells of its flags and has none for that.
func CheckDivides(ctx context.Context, program string) error {
	help, err := output(ctx, program, "--help")
	if err != nil || !helpFlag.MatchString(help) || rpcFlag.MatchString(help) {
		return nil //nolint:nilerr // whoever starts it says what is wrong
	}
	e := ops.Errorf(ops.CodeUnsupported, "the %s at %s was built without llama.cpp's RPC backend, which divides models over machines", Name, program).
		WithHint("llama.cpp's releases have it (`rbee engine install`), and Debian has it as the package libggml0-backend-rpc")
	e.Field = "hives"
	return e
}

var (
	helpFlag = regexp.MustCompile(`(?m)^\s*(-m,\s+)?--model\b`)
	rpcFlag  = regexp.MustCompile(`(?m)^\s*--rpc\b`)
)

// strangers is what the program says of a part whose llama.cpp it cannot work with
// (ggml/src/ggml-rpc/ggml-rpc.cpp).
var strangers = regexp.MustCompile(`RPC server version mismatch|RPC handshake failed`)

// estranged is the error for such a part.
func estranged(err error) error {
	return ops.Errorf(ops.CodeUnsupported, "the machines that the model is divided over have versions of llama.cpp that do not work together: %w", err).
		WithHint("`rbee engine list` shows what each has, `rbee engine install VERSION --hive NAME` gives it another")
}

// devices are those of so many parts, as llama.cpp calls them, behind the
// machine's own, if that is one.
func devices(own string, parts int) []string {
	var list []string
	if own != "none" {
		list = append(list, own)
	}
	for i := range parts {
		list = append(list, fmt.Sprintf("RPC%d", i))
	}
	return list
}

// layers is how many layers the parts of a model get whose rest stays on the
// CPU; 0 leaves it to the program, which would put everything on devices. It
// counts the output as one, as the program does.
func layers(s inference.Spec, m model) int {
	if s.Parts == nil || s.Share <= 0 || m.blocks == 0 {
		return 0
	}
	all := m.blocks + 1
	return min(max(int(math.Round(float64(all)*(1-s.Share))), 1), all-1)
}
