package process

import "syscall"

// attributes puts a process into a group of its own, and has the kernel end it
// with this process, however that ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
