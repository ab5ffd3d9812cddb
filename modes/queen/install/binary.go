package install

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"rbee.dev/rbee/ops"
)

// Platform is an operating system and an architecture, by Go's names.
type Platform struct{ OS, Arch string }

// String is the platform as linux/amd64.
func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Known reports whether rbee is built for the platform.
func (p Platform) Known() bool {
	return slices.Contains([]string{"linux/amd64", "linux/arm64", "darwin/arm64", "darwin/amd64"}, p.String())
}

// own is the platform of this process.
func own() Platform { return Platform{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// platform is what uname's words mean.
func platform(system, machine string) Platform {
	p := Platform{OS: system, Arch: machine}
	switch system {
	case "Linux":
		p.OS = "linux"
	case "Darwin":
		p.OS = "darwin"
	}
	switch machine {
	case "x86_64", "amd64":
		p.Arch = "amd64"
	case "aarch64", "arm64":
		p.Arch = "arm64"
	}
	return p
}

// Binary is an rbee to install.
type Binary struct {
	Path   string
	Size   int64
	SHA256 string // hex
}

// Name is what the binary is called in the data folder: rbee- and its build.
func (b Binary) Name() string { return "rbee-" + b.Build() }

// Build is the binary's build: the first 12 digits of its SHA-256.
func (b Binary) Build() string { return b.SHA256[:min(12, len(b.SHA256))] }

// OpenBinary reads what the file at path is.
func OpenBinary(path string) (Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, ops.Invalid("binary_path", "cannot be read: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return Binary{}, ops.Invalid("binary_path", "cannot be read: %w", err)
	}
	return Binary{Path: path, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// Sources is where a binary may come from.
type Sources struct {
	Own   string // this process's binary
	Given string // a file that the person named, or ""
	// Releases is the URL of a folder with an archive for each platform, or "".
	Releases string
	Version  string // the release to take from there
	Cache    string // folder for what was fetched
}

// Choose finds a binary that runs on p: the one given, else this process's own,
// else a release.
func (s Sources) Choose(ctx context.Context, p Platform) (Binary, error) {
	switch {
	case s.Given != "":
		got, err := platformOf(s.Given)
		if err != nil {
			return Binary{}, ops.Invalid("binary_path", "%s is no program: %w", s.Given, err)
		}
		if got != p {
			return Binary{}, ops.Invalid("binary_path", "%s is for %s, and the machine is %s", s.Given, got, p).WithHint("%s", buildHint(p))
		}
		return OpenBinary(s.Given)
	case own() == p:
		return OpenBinary(s.Own)
	case s.Releases != "" && p.Known():
		path, err := s.fetch(ctx, p)
		if err != nil {
			return Binary{}, err
		}
		return OpenBinary(path)
	}
	return Binary{}, ops.Errorf(ops.CodeUnsupported, "this rbee is for %s, and the machine is %s", own(), p).WithHint("%s", buildHint(p))
}

func buildHint(p Platform) string {
	if !p.Known() {
		return "rbee runs on linux/amd64, linux/arm64, darwin/amd64 and darwin/arm64"
	}
	return fmt.Sprintf("build one where rbee's source is, `CGO_ENABLED=0 GOOS=%s GOARCH=%s go build -o rbee-%s-%s .`, and give it by --binary", p.OS, p.Arch, p.OS, p.Arch)
}

// platformOf reads from the header of the program at path what it runs on.
func platformOf(path string) (Platform, error) {
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		arch := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
		if arch == "" {
			arch = f.Machine.String()
		}
		return Platform{OS: "linux", Arch: arch}, nil
	}
	if f, err := macho.Open(path); err == nil {
		defer f.Close()
		arch := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]
		if arch == "" {
			arch = f.Cpu.String()
		}
		return Platform{OS: "darwin", Arch: arch}, nil
	}
	if _, err := os.Stat(path); err != nil {
		return Platform{}, err
	}
	return Platform{}, fmt.Errorf("it is neither an ELF nor a Mach-O file")
}
