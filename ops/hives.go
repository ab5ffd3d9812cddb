package ops

import (
	"context"
	"time"
)

// LocalHive is the name of the hive on the queen's own machine. It always exists.
const LocalHive = "localhost"

// HiveFlag is what a command line ends in that is for a hive, a space before it; the
// local one needs no word.
func HiveFlag(hive string) string {
	if hive == "" || hive == LocalHive {
		return ""
	}
	return " --hive " + hive
}

// HiveState is whether a hive can be used.
type HiveState string

// The states of a hive.
const (
	HiveUp       HiveState = "up"
	HiveStarting HiveState = "starting"
	HiveDown     HiveState = "down"
)

// Hive is a machine as the queen knows it.
type Hive struct {
	ID        string     `json:"id"`
	Host      string     `json:"host"` // user@host:port; empty for the queen's own machine
	State     HiveState  `json:"state"`
	Version   string     `json:"version"`
	Build     string     `json:"build"`
	PID       int        `json:"pid,omitempty"` // 0 while down
	Workers   int        `json:"workers"`       // workers running; while it does not answer, as it said last
	Models    int        `json:"models"`        // models on disk
	Devices   []Device   `json:"devices"`
	Problems  []string   `json:"problems,omitempty"`     // why devices that are there cannot be used
	Error     string     `json:"error,omitempty"`        // why it is down; also that nothing has needed it yet
	StartedAt *time.Time `json:"started_at,omitempty"`   // of the hive process
	LastSeen  *time.Time `json:"last_seen_at,omitempty"` // when it last said anything
	LogPath   string     `json:"log_path,omitempty"`     // on the hive's machine
	Drained   bool       `json:"drained,omitempty"`      // it gets no new work, by `rbee hive drain`
	// IdleTimeout is after how long without anything to do its workers are
	// unloaded, as in 30m; 0s is never, and empty where it does not say.
	IdleTimeout string `json:"idle_timeout,omitempty"`
}

// Hives is the answer to [HiveList].
type Hives struct {
	Hives []Hive `json:"hives"`
}

// HiveRemoved is the answer to [HiveUninstall].
type HiveRemoved struct {
	ID string `json:"id"`
}

// Device is something a hive can run models on.
type Device struct {
	ID              string `json:"id"`   // cpu, cuda:0, …: what --device takes
	Kind            string `json:"kind"` // cpu, cuda, rocm, metal
	Name            string `json:"name"` // as the maker calls it
	Cores           int    `json:"cores,omitempty"`
	MemoryBytes     uint64 `json:"memory_bytes"`
	MemoryFreeBytes uint64 `json:"memory_free_bytes"`
	// MachineMemoryBytes is all that the machine has, where the hive may have less of
	// it: in a container, or as a service with a bound; else 0.
	MachineMemoryBytes uint64 `json:"machine_memory_bytes,omitempty"`
	SharesMemory       bool   `json:"shares_memory,omitempty"`    // a GPU in the processor: its memory is the machine's
	InstructionSets    string `json:"instruction_sets,omitempty"` // CPU vector extensions that matter, as "avx2 avx512f"
	DriverVersion      string `json:"driver_version,omitempty"`
	ComputeCapability  string `json:"compute_capability,omitempty"` // NVIDIA, as "9.0"
}

// Accelerators are those of the devices that models go to by themselves: the GPUs,
// and those that share the machine's memory only where no card has its own.
func Accelerators(devices []Device) []Device {
	var cards, inProcessor []Device
	for _, d := range devices {
		switch {
		case d.Kind == "cpu":
		case d.SharesMemory:
			inProcessor = append(inProcessor, d)
		default:
			cards = append(cards, d)
		}
	}
	if len(cards) == 0 {
		return inProcessor
	}
	return cards
}

// SSHAddress is where an SSH server is. It is embedded in the operations that
// reach a machine for the first time.
type SSHAddress struct {
	// SSHHost is a host name, an IP address or a name in the SSH configuration.
	SSHHost string `json:"ssh_host,omitempty" name:"host" placeholder:"HOST" help:"Machine to reach, as in ssh."`
	// SSHPort is the server's TCP port, 1 to 65535; 0 means as configured, else 22.
	SSHPort int `json:"ssh_port,omitempty" name:"ssh-port" help:"SSH port."`
	// SSHUser is the account; empty means as configured, else the queen's own.
	SSHUser string `json:"ssh_user,omitempty" name:"ssh-user" help:"SSH account."`
}

func (a SSHAddress) validate() error {
	return firstError(checkSSHWord("ssh_host", a.SSHHost), checkSSHWord("ssh_user", a.SSHUser), checkRange("ssh_port", a.SSHPort, 0, 65535))
}

// SSHTest asks whether a machine can be reached, what it is, and whether
// anything is in the way of a hive there.
type SSHTest struct {
	op[SSHReport] `kong:"-" json:"-"`
	SSHAddress
}

// SSHReport is the answer to [SSHTest].
type SSHReport struct {
	Host          string   `json:"host"`
	User          string   `json:"user"`
	OS            string   `json:"os"`
	Architecture  string   `json:"architecture"`
	Devices       []Device `json:"devices"`
	DiskFreeBytes uint64   `json:"disk_free_bytes"`
	Service       string   `json:"service"`  // what would run the hive: systemd, or detached
	Problems      []string `json:"problems"` // what would be in the way; empty when nothing is
}

// Name returns "ssh_test".
func (SSHTest) Name() string { return "ssh_test" }

// Validate wants a host.
func (o SSHTest) Validate() error {
	return firstError(checkRequired("ssh_host", o.SSHHost), o.validate())
}

func (o SSHTest) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.SSHTest(ctx, o)
	return done(o, r, err)
}

// HiveInstall copies the queen's binary to a machine and starts a hive there as
// a service. Without a host it is the queen's own machine.
type HiveInstall struct {
	op[Hive] `kong:"-" json:"-"`
	// HiveID is the name the hive gets; empty takes the host's.
	HiveID string `json:"hive_id,omitempty" name:"name" type:"given" placeholder:"NAME" help:"Name for the hive (default: the host's)."`
	SSHAddress
	// Port makes the hive listen on TCP as well, on every address of its machine
	// and with a token, 1 to 65535; 0 is not.
	Port int `json:"port,omitempty" help:"TCP port to listen on as well, for those who want TCP; it wants a token."`
	// BinaryPath is a binary to install in place of the queen's own, an absolute
	// path on the queen's machine.
	BinaryPath string `json:"binary_path,omitempty" name:"binary" type:"path" placeholder:"FILE" help:"Binary to install, in place of the queen's own."`
	// AddKey lets the queen's own key into the account, so that the queen gets
	// in when the person's agent is gone; uninstalling takes it back.
	AddKey bool `json:"add_key,omitempty" help:"Let the queen's own key into the account, for when your agent is gone."`
	// IdleTimeout is after how long without anything to do the hive's workers are
	// unloaded, as in 5m; 0s is never, empty as it was, at first 30m.
	IdleTimeout string `json:"idle_timeout,omitempty" placeholder:"DURATION" help:"Unload workers that have had nothing to do for so long (at first 30m); 0s is never."`
}

// Name returns "hive_install".
func (HiveInstall) Name() string { return "hive_install" }

// Validate checks the name, the address, the port, the binary and the idle timeout.
func (o HiveInstall) Validate() error {
	return firstError(checkName("hive_id", o.HiveID), o.validate(), checkRange("port", o.Port, 0, 65535), checkPath("binary_path", o.BinaryPath), checkIdle(o.IdleTimeout))
}

func (o HiveInstall) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveInstall(ctx, o)
	return done(o, r, err)
}

// HiveUninstall removes a hive from its machine, or only from the queen's books.
type HiveUninstall struct {
	op[HiveRemoved] `kong:"-" json:"-"`
	// HiveID names the hive.
	HiveID string `json:"hive_id" arg:"" name:"hive" help:"Hive to remove."`
	// CatalogOnly forgets the hive and leaves its machine alone.
	CatalogOnly bool `json:"catalog_only,omitempty" help:"Only forget it; for a machine that is gone."`
	// Models removes the machine's models too.
	Models bool `json:"models,omitempty" help:"Remove its models and engines too."`
}

// Name returns "hive_uninstall".
func (HiveUninstall) Name() string { return "hive_uninstall" }

// Validate wants a hive.
func (o HiveUninstall) Validate() error {
	return firstError(checkRequired("hive_id", o.HiveID), checkName("hive_id", o.HiveID))
}

func (o HiveUninstall) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveUninstall(ctx, o)
	return done(o, r, err)
}

// HiveUpdate changes what the queen knows of a hive, and renews its binary where
// the queen's is another. Its workers and their answers go on.
type HiveUpdate struct {
	op[Hive] `kong:"-" json:"-"`
	// HiveID names the hive.
	HiveID string `json:"hive_id" arg:"" name:"hive" help:"Hive to update."`
	// NewName is what the hive is called from now on; empty leaves its name.
	NewName string `json:"new_name,omitempty" name:"name" type:"given" placeholder:"NAME" help:"New name for the hive."`
	SSHAddress
	// BinaryPath is a binary to install in place of the queen's own, an absolute
	// path on the queen's machine.
	BinaryPath string `json:"binary_path,omitempty" name:"binary" type:"path" placeholder:"FILE" help:"Binary to install, in place of the queen's own."`
	// RefreshCapabilities reads the machine's devices again.
	RefreshCapabilities bool `json:"refresh_capabilities,omitempty" help:"Read the devices again."`
	// IdleTimeout is as of [HiveInstall]; empty leaves it.
	IdleTimeout string `json:"idle_timeout,omitempty" placeholder:"DURATION" help:"Unload workers that have had nothing to do for so long; 0s is never."`
}

// checkIdle accepts "" and durations that are not below zero.
func checkIdle(text string) error {
	if text == "" {
		return nil
	}
	if d, err := time.ParseDuration(text); err != nil || d < 0 {
		return Invalid("idle_timeout", "must be a number and a unit as in 90s, 30m or 12h, or 0s for never, got %q", clip(text))
	}
	return nil
}

// Name returns "hive_update".
func (HiveUpdate) Name() string { return "hive_update" }

// Validate wants a hive and checks what is to change.
func (o HiveUpdate) Validate() error {
	return firstError(checkRequired("hive_id", o.HiveID), checkName("hive_id", o.HiveID), checkName("new_name", o.NewName), o.validate(), checkPath("binary_path", o.BinaryPath), checkIdle(o.IdleTimeout))
}

func (o HiveUpdate) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveUpdate(ctx, o)
	return done(o, r, err)
}

// HiveStart starts a hive that is down.
type HiveStart struct {
	op[Hive] `kong:"-" json:"-"`
	// HiveID names the hive; empty is localhost.
	HiveID string `json:"hive_id,omitempty" arg:"" optional:"" name:"hive" help:"Hive to start."`
}

// Name returns "hive_start".
func (HiveStart) Name() string { return "hive_start" }

// Validate checks the name.
func (o HiveStart) Validate() error { return checkName("hive_id", o.HiveID) }

func (o HiveStart) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveStart(ctx, o)
	return done(o, r, err)
}

// HiveStop ends a hive and its workers.
type HiveStop struct {
	op[Hive] `kong:"-" json:"-"`
	// HiveID names the hive; empty is localhost.
	HiveID string `json:"hive_id,omitempty" arg:"" optional:"" name:"hive" help:"Hive to stop."`
}

// Name returns "hive_stop".
func (HiveStop) Name() string { return "hive_stop" }

// Validate checks the name.
func (o HiveStop) Validate() error { return checkName("hive_id", o.HiveID) }

func (o HiveStop) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveStop(ctx, o)
	return done(o, r, err)
}

// HiveList answers from what the queen knows, at once.
type HiveList struct {
	op[Hives] `kong:"-" json:"-"`
}

// Name returns "hive_list".
func (HiveList) Name() string { return "hive_list" }

// Validate accepts every HiveList: it has no fields.
func (HiveList) Validate() error { return nil }

func (o HiveList) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveList(ctx, o)
	return done(o, r, err)
}

// HiveGet answers from what the queen knows of one hive, at once.
type HiveGet struct {
	op[Hive] `kong:"-" json:"-"`
	// HiveID names the hive; empty is localhost.
	HiveID string `json:"hive_id,omitempty" arg:"" optional:"" name:"hive" help:"Hive to show (default: localhost)."`
}

// Name returns "hive_get".
func (HiveGet) Name() string { return "hive_get" }

// Validate checks the name.
func (o HiveGet) Validate() error { return checkName("hive_id", o.HiveID) }

func (o HiveGet) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveGet(ctx, o)
	return done(o, r, err)
}

// HiveStatus asks the machine itself, now.
type HiveStatus struct {
	op[Hive] `kong:"-" json:"-"`
	// HiveID names the hive; empty is localhost.
	HiveID string `json:"hive_id,omitempty" arg:"" optional:"" name:"hive" help:"Hive to ask (default: localhost)."`
	// RefreshCapabilities reads the machine's devices again.
	RefreshCapabilities bool `json:"refresh_capabilities,omitempty" help:"Read the devices again."`
}

// Name returns "hive_status".
func (HiveStatus) Name() string { return "hive_status" }

// Validate checks the name.
func (o HiveStatus) Validate() error { return checkName("hive_id", o.HiveID) }

func (o HiveStatus) onQueen(ctx context.Context, h QueenHandler) (any, error) {
	r, err := h.HiveStatus(ctx, o)
	return done(o, r, err)
}
