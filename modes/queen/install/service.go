package install

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// Site is where a hive's files are on its machine.
type Site struct {
	Data  string `json:"data"`  // folder of the binaries, and of the link to the one that runs
	State string `json:"state"` // folder of the socket, the logs and the workers
	// Models is the folder of the models.
	Models string `json:"models"`
	// Env is what the hive's environment must have, KEY=value: its settings, and
	// on the queen's own machine, whose environment may move them, its folders.
	Env []string `json:"env,omitempty"`
}

// Setting is what the hive's environment has for a variable, or "".
func (s Site) Setting(name string) string {
	for _, pair := range s.Env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// With is the site of a hive whose environment has the variable too; "" leaves it
// out.
func (s Site) With(name, value string) Site {
	s.Env = slices.DeleteFunc(slices.Clone(s.Env), func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
	if value != "" {
		s.Env = append(s.Env, name+"="+value)
	}
	return s
}

// SiteOf is where the files of a hive go on the machine of f.
func SiteOf(f Facts) Site {
	return Site{Data: f.Data, State: f.State, Models: path.Join(f.Home, ".cache/rbee/models")}
}

// Socket is where the hive listens.
func (s Site) Socket() string { return path.Join(s.State, "hive.sock") }

// Binary is the link to the binary that runs.
func (s Site) Binary() string { return path.Join(s.Data, "rbee") }

// Log is the hive's log.
func (s Site) Log() string { return path.Join(s.State, "logs", "hive.log") }

// Service is a hive as a service of its machine.
type Service struct {
	Shell Shell
	Site
	Name   string // the hive's
	Listen string // address that it listens on beside its socket, or ""
}

// Prepare makes the hive's folders and claims the machine. A nil claim leaves
// the one that is there.
func (s Service) Prepare(ctx context.Context, c *Claim) error {
	line := []byte(nil)
	if c != nil {
		var err error
		if line, err = json.Marshal(c); err != nil {
			return err
		}
	}
	_, err := run(ctx, s.Shell, "prepare", s.Data, s.State, string(line))
	return err
}

// Copy brings the binary into the data folder, with a progress event, and
// reports whether it had to: the same one may be there already.
func (s Service) Copy(ctx context.Context, b Binary, there []string) (copied bool, err error) {
	for _, name := range there {
		if name == b.Name() {
			return false, s.check(ctx, b)
		}
	}
	f, err := openFile(b.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return true, s.Shell.Upload(ctx, ssh.File{
		Reader: f, Size: b.Size, SHA256: b.SHA256, Mode: 0o700, Path: path.Join(s.Data, b.Name()),
		Progress: func(done, total int64) { ops.Progress(ctx, "binary_copy", done, total, "bytes") },
	})
}

// check makes sure that a binary of an earlier install is whole.
func (s Service) check(ctx context.Context, b Binary) error {
	text, err := run(ctx, s.Shell, "sum", path.Join(s.Data, b.Name()))
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(text); got != "" && got != b.SHA256 {
		return ops.Errorf(ops.CodeInternal, "the binary %s on the machine has the SHA-256 %s", b.Name(), got).
			WithHint("remove %s there and install again", path.Join(s.Data, b.Name()))
	}
	return nil
}

// Switch makes the service use the binary called name from its next start on,
// and returns the one that it used before, "" for none.
func (s Service) Switch(ctx context.Context, name string) (before string, err error) {
	text, err := run(ctx, s.Shell, "switch", s.Data, name)
	return strings.TrimSpace(text), err
}

// Started is how the service was started.
type Started struct {
	Systemd  bool
	NoLinger bool // there is systemd, but a logout would end its service
	Kept     bool // it ran already, as it should
}

// Start starts the service, or starts it anew.
func (s Service) Start(ctx context.Context) (Started, error) {
	supervisor, err := scripts.ReadFile("scripts/supervise.sh")
	if err != nil {
		return Started{}, err
	}
	text, err := run(ctx, s.Shell, "start", s.Data, s.State, s.Name, s.Listen, string(supervisor), s.unit(), s.settings())
	if err != nil {
		return Started{}, err
	}
	return Started{Systemd: strings.Contains(text, "service=systemd"), NoLinger: strings.Contains(text, "linger=no")}, nil
}

// Tail is the end of the hive's log, or "" when there is none to be had.
func (s Service) Tail(ctx context.Context) string {
	text, err := run(ctx, s.Shell, "tail", s.Log())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// Stop ends the service, the hive and its workers, as far as they still run.
func (s Service) Stop(ctx context.Context) error {
	_, err := run(ctx, s.Shell, "stop", s.Data, s.State)
	return err
}

// Remove removes what installing made, and the models and engines where that is
// wanted. The service must have been stopped.
func (s Service) Remove(ctx context.Context, models bool) error {
	folder := ""
	if models {
		folder = s.Models
	}
	_, err := run(ctx, s.Shell, "remove", s.Data, s.State, folder)
	return err
}

// Prune removes the binaries that are not in keep.
func (s Service) Prune(ctx context.Context, keep ...string) error {
	_, err := run(ctx, s.Shell, "prune", append([]string{s.Data}, keep...)...)
	return err
}

// Authorize lets who has the key of line (a line of authorized_keys) into the
// account.
func Authorize(ctx context.Context, s Shell, line string) error {
	_, err := run(ctx, s, "authorize", line)
	return err
}

// Unauthorize takes that back.
func Unauthorize(ctx context.Context, s Shell, line string) error {
	_, err := run(ctx, s, "unauthorize", line)
	return err
}

// settings is the text of hive.env, which /bin/sh reads.
func (s Service) settings() string {
	lines := make([]string, len(s.Env))
	for i, pair := range s.Env {
		key, value, _ := strings.Cut(pair, "=")
		lines[i] = "export " + key + "=" + shellescape.Quote(value)
	}
	return strings.Join(lines, "\n")
}

// unit is the service as a systemd user unit (systemd.service(5)). A stop or a
// restart of the unit ends the hive alone: its workers go on, and the next hive
// finds them; whoever wants them ended asks the hive.
func (s Service) unit() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=rbee hive %s\nStartLimitIntervalSec=0\n\n[Service]\nType=exec\n", s.Name)
	args := []string{s.Binary(), "hive", "serve", "--service", "--name", s.Name}
	if s.Listen != "" {
		args = append(args, "--listen", s.Listen)
	}
	for i := range args {
		args[i] = unitQuote(args[i])
		if i > 0 { // variables are expanded in arguments, not in the program's path
			args[i] = strings.ReplaceAll(args[i], "$", "$$")
		}
	}
	fmt.Fprintf(&b, "ExecStart=%s\n", strings.Join(args, " "))
	b.WriteString("UnsetEnvironment=RBEE_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_CONFIG_HOME\n")
	for _, pair := range s.Env {
		fmt.Fprintf(&b, "Environment=%s\n", unitQuote(pair))
	}
	b.WriteString("KillMode=process\nRestart=on-failure\nRestartSec=1\n\n[Install]\nWantedBy=default.target")
	return b.String()
}

// unitQuote quotes a word for a unit file: C escapes in double quotes, with
// specifiers switched off by doubling.
func unitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, "\n", `\n`).Replace(s) + `"`
}
