package ops

import (
	"context"
	"net/url"
	"regexp"
	"time"
)

// EngineOrigin says where an engine's program comes from.
type EngineOrigin string

// The origins of engines.
const (
	EngineBuiltIn   EngineOrigin = "built-in"    // it is part of rbee
	EngineInstalled EngineOrigin = "installed"   // by engine_install, into rbee's cache
	EngineNamed     EngineOrigin = "environment" // RBEE_LLAMA_SERVER names it
	EngineFound     EngineOrigin = "found"       // on PATH, or where people install programs
	EngineCommand   EngineOrigin = "command"     // a command line that comes with each worker
)

// Engine is one program that a hive's workers can run models on.
type Engine struct {
	// ID tells it from the hive's others: of an installed one it is what
	// engine_remove takes, as b11669-vulkan.
	ID string `json:"id"`
	// HiveID is the hive that has it.
	HiveID string `json:"hive_id"`
	// Name is what worker_spawn calls the engine: llamacpp, builtin or command.
	Name string `json:"worker"`
	// Version is the program's own, as b11669; "" where nothing tells.
	Version string `json:"version,omitempty"`
	// Accelerators is what it can compute on, as "cuda" or "cpu"; "" where
	// nothing tells.
	Accelerators string `json:"accelerators,omitempty"`
	// Origin is where it comes from.
	Origin EngineOrigin `json:"origin"`
	// Path is the program's file on the hive's machine.
	Path string `json:"path,omitempty"`
	// Used says that workers of this engine run this program.
	Used bool `json:"used"`
	// Default says that a worker for which no engine is named runs it.
	Default bool `json:"default"`
	// Size is what an installed one takes on the disk, in bytes.
	Size int64 `json:"size_bytes,omitempty"`
	// Error is why it cannot be used, as one that has come in part only, or "".
	Error string `json:"error,omitempty"`
	// Hint is what to do about that, or "".
	Hint string `json:"hint,omitempty"`
	// InstalledAt is when it was installed last.
	InstalledAt *time.Time `json:"installed_at,omitempty"`
}

// Engines is the answer to [EngineList].
type Engines struct {
	Engines []Engine `json:"engines"`
	// Silent are the hives that did not answer, of whose engines nothing is known.
	Silent []string `json:"silent_hives,omitempty"`
}

// EngineRemoved is the answer to [EngineRemove].
type EngineRemoved struct {
	ID     string `json:"id"`
	HiveID string `json:"hive_id"`
	Freed  int64  `json:"freed_bytes"`
}

// EngineList lists engines, of one hive or of all.
type EngineList struct {
	op[Engines] `kong:"-" json:"-"`
	OnHive
}

// Name returns "engine_list".
func (EngineList) Name() string { return "engine_list" }

// Validate checks the hive's name.
func (o EngineList) Validate() error { return checkName("hive_id", o.HiveID) }

func (o EngineList) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.EngineList(ctx, o)
	return done(o, r, err)
}

// EngineInstall brings a release of llama.cpp onto a hive, and makes it the one
// that new workers run.
type EngineInstall struct {
	op[Engine] `kong:"-" json:"-"`
	OnHive
	// Version is the release: a build as b11669, a version as v0.7.0, or latest,
	// which empty means too.
	Version string `json:"version,omitempty" arg:"" optional:"" placeholder:"VERSION" help:"Release of llama.cpp, as b11669 or v0.7.0 (default: the latest)."`
	// Accelerator is what the program is to compute on: cpu, vulkan, cuda, rocm
	// or metal; empty takes what the machine has.
	Accelerator string `json:"accelerator,omitempty" placeholder:"NAME" help:"What to compute on: cpu, vulkan, cuda, rocm or metal (default: what the machine has)."`
	// From is where the releases are, as the URL of llama.cpp's releases on
	// GitHub or of a mirror of them, or the URL of one archive; empty takes what
	// RBEE_LLAMACPP_RELEASES says where the hive runs, or llama.cpp's own.
	From string `json:"from,omitempty" env:"RBEE_LLAMACPP_RELEASES" placeholder:"URL" help:"Releases: on GitHub, a mirror's folder, or one archive (default: llama.cpp's own)."`
	// Checksum is the SHA-256 that the archive must have, in hex; it is needed
	// where the server names none.
	Checksum string `json:"checksum,omitempty" name:"sha256" placeholder:"HEX" help:"SHA-256 that the archive must have, where the server names none."`
}

// Name returns "engine_install".
func (EngineInstall) Name() string { return "engine_install" }

var (
	release     = regexp.MustCompile(`^(latest|b?[0-9]{1,7}|v?[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})$`)
	accelerator = regexp.MustCompile(`^(cpu|vulkan|cuda|rocm|metal)$`)
	checksum    = shaped(`^[0-9A-Fa-f]*$`, 64, 64)
)

// Validate checks what is given; everything may be left out.
func (o EngineInstall) Validate() error {
	if o.Version != "" && !release.MatchString(o.Version) {
		return Invalid("version", "must be a build as b11669, a version as v0.7.0, or latest, got %q", clip(o.Version))
	}
	if o.Accelerator != "" && !accelerator.MatchString(o.Accelerator) {
		return Invalid("accelerator", "must be cpu, vulkan, cuda, rocm or metal, got %q", clip(o.Accelerator))
	}
	if u, err := url.Parse(o.From); o.From != "" && (err != nil || u.Host == "" || !isWeb(u)) {
		return Invalid("from", "must be an http(s) URL, got %q", clip(o.From)).WithHint("--from gives it, or RBEE_LLAMACPP_RELEASES where that is set")
	}
	if o.Checksum != "" && !checksum.MatchString(o.Checksum) {
		return Invalid("checksum", "must be a SHA-256, 64 hexadecimal digits, got %q", clip(o.Checksum))
	}
	return firstError(checkName("hive_id", o.HiveID), checkModel("from", o.From))
}

func (o EngineInstall) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.EngineInstall(ctx, o)
	return done(o, r, err)
}

// EngineRemove deletes an engine that engine_install brought, or what has come of one
// whose install was interrupted. One that a worker runs is refused.
type EngineRemove struct {
	op[EngineRemoved] `kong:"-" json:"-"`
	OnHive
	// ID is the engine's, as engine_list gives it.
	ID string `json:"id" arg:"" help:"Engine's id, as b11669-vulkan."`
}

// Name returns "engine_remove".
func (EngineRemove) Name() string { return "engine_remove" }

// Validate wants an id.
func (o EngineRemove) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), checkRequired("id", o.ID), checkName("id", o.ID))
}

func (o EngineRemove) onHive(ctx context.Context, h HiveHandler) (any, error) {
	r, err := h.EngineRemove(ctx, o)
	return done(o, r, err)
}
