//go:build !linux

package process

import "syscall"

// attributes puts a process into a group of its own. There is no parent-death
// signal here: a process whose parent is killed by SIGKILL goes on.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
