package engines

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Machine is what an archive must fit.
type Machine struct {
	OS, Arch string // as Go names them
	// Kinds are the kinds of its devices beside the CPU: cuda, rocm, metal.
	Kinds []string
	// Driver is the version of NVIDIA's driver, as 580.65.06, or "".
	Driver string
	// ROCm says that AMD's ROCm is installed, which archives for it need.
	ROCm bool
}

// asset is an archive of a release, by what its name says.
type asset struct {
	name        string
	tag         string // b11669
	os, arch    string // ubuntu, x64
	accelerator string // cpu, vulkan, cuda, rocm or metal
	toolkit     string // version of CUDA or ROCm, or ""
	called      string // its id, where its name says nothing of this
}

// assetName is how llama.cpp's release workflow (its .github/workflows/release.yml)
// names archives: llama-b11669-bin-ubuntu-x64.tar.gz,
// llama-b11669-bin-ubuntu-cuda-13.4-x64.tar.gz, llama-b11669-bin-macos-arm64.tar.gz;
// those of before December 2025 are zip files.
var assetName = regexp.MustCompile(`^llama-(b[0-9]{1,7})-bin-(ubuntu|macos)(?:-(vulkan|cuda|rocm)(?:-([0-9]+(?:\.[0-9]+)*))?)?-(x64|arm64)\.(?:tar\.gz|zip)$`)

func readAsset(name string) (asset, bool) {
	m := assetName.FindStringSubmatch(name)
	if m == nil {
		return asset{}, false
	}
	a := asset{name: name, tag: m[1], os: m[2], accelerator: m[3], toolkit: m[4], arch: m[5]}
	if a.accelerator == "" {
		a.accelerator = "cpu"
		if a.os == "macos" && a.arch == "arm64" {
			a.accelerator = "metal"
		}
	}
	return a, true
}

// id is what the archive is called once it is installed: b11669-cuda-13.4.
func (a asset) id() string {
	if a.called != "" {
		return a.called
	}
	parts := []string{a.tag, a.accelerator}
	if a.toolkit != "" {
		parts = append(parts, a.toolkit)
	}
	return strings.Join(parts, "-")
}

// companion is the archive with CUDA's own libraries for a, among names, or "".
func (a asset) companion(names []string) string {
	if a.accelerator != "cuda" {
		return ""
	}
	rest := strings.TrimPrefix(a.name, "llama-"+a.tag)
	for _, name := range []string{"cudart-" + a.name, "cudart-llama" + rest} {
		if slices.Contains(names, name) {
			return name
		}
	}
	return ""
}

// systems and architectures are the archives' words for Go's.
var (
	systems       = map[string]string{"linux": "ubuntu", "darwin": "macos"}
	architectures = map[string]string{"amd64": "x64", "arm64": "arm64"}
)

// fitting are the archives among names that run on m, by accelerator; of each
// the one with the toolkit that suits best.
func (m Machine) fitting(names []string) map[string]asset {
	all := map[string]asset{}
	for _, name := range names {
		a, ok := readAsset(name)
		if !ok || a.os != systems[m.OS] || a.arch != architectures[m.Arch] {
			continue
		}
		if old, ok := all[a.accelerator]; !ok || m.better(a, old) {
			all[a.accelerator] = a
		}
	}
	return all
}

// better reports whether a suits m better than b, which is of the same kind: the
// newest toolkit that the driver can run. With a tie a gzipped tar comes first.
func (m Machine) better(a, b asset) bool {
	if a.accelerator == "cuda" && m.runs(a) != m.runs(b) {
		return m.runs(a)
	}
	if c := compareVersions(a.toolkit, b.toolkit); c != 0 {
		return c > 0
	}
	return strings.HasSuffix(a.name, ".tar.gz")
}

// The least drivers of NVIDIA's for CUDA of a major version (CUDA Toolkit release
// notes, table "minimum required driver version for minor version
// compatibility").
var leastDriver = map[string]int{"12": 525, "13": 580}

// runs reports whether the driver runs what was built with a's CUDA. An unknown
// driver runs the older ones.
func (m Machine) runs(a asset) bool {
	major, _, _ := strings.Cut(a.toolkit, ".")
	driver, _, _ := strings.Cut(m.Driver, ".")
	has, err := strconv.Atoi(driver)
	if err != nil {
		has = leastDriver["12"]
	}
	least, known := leastDriver[major]
	return known && has >= least
}

// preferred lists the accelerators for m, the best first, and why.
func (m Machine) preferred() (list []string, why string) {
	has := func(kind string) bool { return slices.Contains(m.Kinds, kind) }
	switch {
	case has("cuda"):
		return []string{"cuda", "vulkan", "cpu"}, "it has an NVIDIA card"
	case has("rocm") && m.ROCm:
		return []string{"rocm", "vulkan", "cpu"}, "it has an AMD card, and ROCm"
	case has("rocm"):
		return []string{"vulkan", "cpu"}, "it has an AMD card, and no ROCm"
	case has("metal"):
		return []string{"metal", "cpu"}, "it is a Mac"
	}
	return []string{"cpu", "metal"}, "it has no card that is known"
}

// compareVersions compares numbers with full stops between.
func compareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if c := cmp.Compare(number(x, i), number(y, i)); c != 0 {
			return c
		}
	}
	return 0
}

func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, err := strconv.Atoi(parts[i])
	if err != nil {
		return 0
	}
	return n
}
