package sshtest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"

	"github.com/pkg/sftp"
	xssh "golang.org/x/crypto/ssh"
)

// session serves one session channel.
func (s *Server) session(nc xssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	r := &session{server: s, ch: ch}
	for q := range requests {
		ok := r.request(q)
		if q.WantReply {
			_ = q.Reply(ok, nil)
		}
		if ok && r.begin != nil {
			r.work.Go(r.begin)
			r.begin = nil
		}
	}
	// The channel is closed: like sshd, leave it to the command to notice.
	// Only the end of the test kills it.
	_ = ch.Close()
	ended := make(chan struct{})
	go func() {
		r.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-s.ended:
		r.signal(syscall.SIGKILL)
		<-ended
	}
}

type session struct {
	server *Server
	ch     xssh.Channel
	begin  func() // what to do once the request is answered
	work   sync.WaitGroup

	mu  sync.Mutex
	cmd *exec.Cmd
}

func (r *session) request(q *xssh.Request) bool {
	var text struct{ Value string }
	switch q.Type {
	case "exec":
		if xssh.Unmarshal(q.Payload, &text) != nil || r.server.options.NoShell {
			return false
		}
		r.begin = func() { r.exec(text.Value) }
		return true
	case "subsystem":
		if xssh.Unmarshal(q.Payload, &text) != nil || text.Value != "sftp" || r.server.options.NoSFTP {
			return false
		}
		r.begin = r.sftp
		return true
	case "signal":
		if xssh.Unmarshal(q.Payload, &text) == nil && !r.server.options.NoSignals {
			r.signal(map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "INT": syscall.SIGINT}[text.Value])
		}
		return true
	}
	return false
}

// exec runs a line by the login shell, as sshd does.
func (r *session) exec(line string) {
	o := r.server.options
	shell := o.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	_, _ = io.WriteString(r.ch, o.Noise)
	_, _ = io.WriteString(r.ch.Stderr(), o.Noise)
	cmd := exec.Command(shell, "-c", line) //nolint:noctx // signalled through the session
	cmd.Dir = o.Home
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return bytes.HasPrefix([]byte(e), []byte("HOME=")) }), "HOME="+o.Home)
	cmd.Env = append(cmd.Env, o.Env...)
	cmd.Stdout, cmd.Stderr = r.ch, r.ch.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		r.mu.Lock()
		if err = cmd.Start(); err == nil {
			r.cmd = cmd
		}
		r.mu.Unlock()
	}
	if err != nil {
		_, _ = io.WriteString(r.ch.Stderr(), err.Error()+"\n")
		r.exit(127)
		return
	}
	r.work.Go(func() {
		_, _ = io.Copy(stdin, r.ch)
		_ = stdin.Close()
	})
	err = cmd.Wait()
	r.mu.Lock()
	r.cmd = nil
	r.mu.Unlock()
	r.finish(err)
}

// finish tells how a command ended.
func (r *session) finish(err error) {
	status, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		r.exit(0)
		return
	}
	if w, ok := status.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		names := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGINT: "INT"}
		_, _ = r.ch.SendRequest("exit-signal", false, xssh.Marshal(struct {
			Name    string
			Core    bool
			Message string
			Lang    string
		}{Name: names[w.Signal()]}))
		_ = r.ch.Close()
		return
	}
	r.exit(uint32(status.ExitCode()))
}

func (r *session) exit(status uint32) {
	_, _ = r.ch.SendRequest("exit-status", false, xssh.Marshal(struct{ Status uint32 }{status}))
	_ = r.ch.Close()
}

// signal signals the command's process group.
func (r *session) signal(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil && s != 0 {
		_ = syscall.Kill(-r.cmd.Process.Pid, s)
	}
}

func (r *session) sftp() {
	_, _ = io.WriteString(r.ch, r.server.options.Noise)
	if r.server.options.SFTPFails > 0 {
		r.brokenSFTP()
		return
	}
	server, err := sftp.NewServer(r.ch, sftp.WithServerWorkingDirectory(r.server.Home))
	if err != nil {
		r.exit(1)
		return
	}
	_ = server.Serve()
	_ = server.Close()
	r.exit(0)
}

// brokenSFTP serves files that take so many bytes and then fail.
func (r *session) brokenSFTP() {
	f := failing{left: r.server.options.SFTPFails}
	server := sftp.NewRequestServer(r.ch, sftp.Handlers{FileGet: &f, FilePut: &f, FileCmd: &f, FileList: &f})
	_ = server.Serve()
	_ = server.Close()
	r.exit(0)
}

// failing is a file system whose disk is full after so many bytes.
type failing struct {
	mu   sync.Mutex
	left int64
}

func (f *failing) WriteAt(p []byte, _ int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left -= int64(len(p)); f.left < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

func (f *failing) Filewrite(*sftp.Request) (io.WriterAt, error)  { return f, nil }
func (f *failing) Fileread(*sftp.Request) (io.ReaderAt, error)   { return nil, os.ErrNotExist }
func (f *failing) Filecmd(*sftp.Request) error                   { return nil }
func (f *failing) Filelist(*sftp.Request) (sftp.ListerAt, error) { return nil, os.ErrNotExist }
