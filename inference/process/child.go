package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"rbee.dev/rbee/inference/slice"
)

// child is one process, with those that it starts itself: they are a process
// group.
type child struct {
	pid     int
	done    chan struct{} // closed once nothing of the group is left
	failure error         // what Wait returned; set before done is closed
}

// start starts a process. Its output goes to out.
func start(l Launch, out io.Writer) (*child, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	cmd := exec.Command(l.Path, l.Args...) //nolint:noctx // it is ended by stop, its group with it
	cmd.Env = l.Env
	cmd.Stdout = write
	if !l.OutputOnly {
		cmd.Stderr = write
	}
	cmd.SysProcAttr = attributes()
	c := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() { // ends with the process, which stop waits for
		// The parent-death signal is sent when the thread ends that started
		// the process (prctl(2)), so this one stays until Wait returns.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		back := slice.UsualHere() // it is for those who pass on what it says
		err := cmd.Start()
		back()
		if err == nil {
			c.pid = cmd.Process.Pid
		}
		started <- errors.Join(err, write.Close())
		if err == nil {
			c.attend(cmd, read, out)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, read.Close())
	}
	return c, nil
}

// drainWithin is how long output may still come from processes that left the
// group and hold the pipe open.
const drainWithin = 500 * time.Millisecond

// attend waits for the end of the process, ends what it has left behind, and
// takes in what they wrote.
func (c *child) attend(cmd *exec.Cmd, read *os.File, out io.Writer) {
	defer close(c.done)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(out, read) // ends at the last writer's end or the deadline
	}()
	c.failure = cmd.Wait()
	c.signal(syscall.SIGKILL)
	_ = read.SetReadDeadline(time.Now().Add(drainWithin)) // pipes have deadlines
	<-drained
	_ = read.Close() // nothing was written to it
}

// signal sends s to the group; one that is gone is no matter.
func (c *child) signal(s syscall.Signal) { _ = syscall.Kill(-c.pid, s) }

// stop ends the process and its group: by SIGTERM, and by SIGKILL after
// patience. It returns when they are gone.
func (c *child) stop(patience time.Duration) {
	select {
	case <-c.done:
		return
	default:
	}
	c.signal(syscall.SIGTERM)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.signal(syscall.SIGKILL)
		<-c.done
	}
}
