package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rbee.dev/rbee/ops"
)

// DetachedEnv is set in the environment of a daemon started by [Spawn]: its
// standard error is its log file.
const DetachedEnv = "RBEE_DETACHED"

// listensEnv names, in the environment of a daemon started by [Spawn], the file
// descriptor that it writes to once it listens.
const listensEnv = "RBEE_LISTENS_FD"

// Child is a daemon that this process started. It outlives this process.
type Child struct {
	Process
	log     string // the file that it writes to, from the byte from on
	from    int64
	listens chan struct{}
	done    chan struct{}
	err     error
}

// Command says what [Spawn] starts.
type Command struct {
	Binary string   // absolute path
	Args   []string // begins with the mode as a word: queen serve …
	Log    string   // file that its output is appended to
	Env    []string // as NAME=VALUE, beside this process's environment
}

// Spawn starts a daemon in a session of its own, so that neither a closed
// terminal nor Ctrl-C there reaches it. Its output goes to the log file. It gets
// no other file of this process's but the one it is to say through that it
// listens: a shell's pipe that it held open would keep
// the pipe's reader waiting for as long as the daemon runs.
func Spawn(c Command) (*Child, error) {
	log, err := openLog(c.Log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	before, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("measure the log: %w", err)
	}
	if err := keepFilesHere(); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(c.Args[:min(2, len(c.Args))], " "), err)
	}
	here, there, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer there.Close()
	cmd := c.detached(log, there)
	err = cmd.Start()
	if errors.Is(err, fs.ErrNotExist) && putBack(c.Binary) == nil {
		cmd = c.detached(log, there)
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(c.unstarted(err), here.Close())
	}
	child := &Child{
		Process: ProcessOf(cmd.Process.Pid), log: c.Log, from: before.Size(),
		listens: make(chan struct{}), done: make(chan struct{}),
	}
	go func() { // ends with the process at the latest
		defer close(child.listens)
		_, _ = here.Read(make([]byte, 1)) // a word or the end
	}()
	go func() {
		defer close(child.done)
		child.err = cmd.Wait() // also reaps it
		_ = here.Close()       // which somebody that it started may still hold
	}()
	return child, nil
}

// unstarted is the error of a process that the system does not start.
func (c Command) unstarted(err error) error {
	e := ops.Errorf(ops.CodeUnavailable, "start %s: %w", strings.Join(c.Args[:min(2, len(c.Args))], " "), err)
	if errors.Is(err, fs.ErrPermission) {
		return e.WithHint("no program may run from %s, as on a disk that is mounted noexec: RBEE_HOME, or XDG_CACHE_HOME, names another place", filepath.Dir(c.Binary))
	}
	return e
}

// detached is the process that is to be, before it is started.
func (c Command) detached(log, there *os.File) *exec.Cmd {
	cmd := exec.Command(c.Binary, c.Args...) //nolint:noctx // it must outlive whoever starts it
	cmd.ExtraFiles = []*os.File{there}       // descriptor 3
	cmd.Env = append(append(append(os.Environ(), absolute()...), c.Env...), DetachedEnv+"=1", listensEnv+"=3")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/" // holds no folder that somebody may want to unmount
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// absolute are the variables that name files, with paths that mean the same in
// another folder: a daemon does not stay in this one.
func absolute() (env []string) {
	for _, name := range []string{"RBEE_HOME", "RBEE_TLS_CERT", "RBEE_TLS_KEY", "RBEE_LLAMA_SERVER", "RBEE_LLAMA_RPC_SERVER"} {
		path := os.Getenv(name)
		if path == "" || strings.HasPrefix(name, "RBEE_LLAMA") && !strings.ContainsRune(path, filepath.Separator) {
			continue // a program's bare name is looked for on the PATH
		}
		if path, err := filepath.Abs(path); err == nil { // else the daemon says that there is no such file
			env = append(env, name+"="+path)
		}
	}
	return env
}

// announce tells whoever started this process by [Spawn] that it listens.
func announce() {
	fd, err := strconv.Atoi(os.Getenv(listensEnv))
	if err != nil {
		return // nobody waits
	}
	_ = os.Unsetenv(listensEnv) // it is not for those that this process starts
	there := os.NewFile(uintptr(fd), "listens")
	_, _ = there.Write([]byte{'\n'}) // it may not wait any more
	_ = there.Close()
}

// Listens is closed when the child listens, or has ended without.
func (c *Child) Listens() <-chan struct{} { return c.listens }

// Done is closed when the child has ended and was reaped.
func (c *Child) Done() <-chan struct{} { return c.done }

// Killed reports whether a signal ended the child; it may be asked once Done is
// closed.
func (c *Child) Killed() bool {
	e, ok := errors.AsType[*exec.ExitError](c.err)
	return ok && !e.Exited()
}

// Err says how the child ended; it may be asked once Done is closed. A clean
// exit is nil.
func (c *Child) Err() error {
	if e, ok := errors.AsType[*exec.ExitError](c.err); ok {
		if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			if status.Signal() == syscall.SIGKILL {
				return errors.New("killed by signal 9")
			}
			return fmt.Errorf("killed by signal %d (%s)", status.Signal(), status.Signal())
		}
	}
	return c.err
}

// tail returns the last lines of what the log at path holds from the byte from on,
// at most n of them and 4 KiB, or "" when there is no log.
func tail(path string, from int64, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 4 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		if _, err := f.Seek(max(from, size-most), io.SeekStart); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
