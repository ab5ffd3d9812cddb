// Package lab makes machines for tests, real enough for SSH: each has a network
// namespace with an address of its own on a bridge, a root folder of its own (a
// copy-on-write overlay of one that testdata/lab/root.sh makes), its own
// processes, an account alice, and Debian's OpenSSH server. All traffic stays in
// the namespaces.
//
//	l := lab.Start(t, lab.Machine{Name: "gpu1"}, lab.Machine{Name: "gpu2", Shell: "/usr/bin/fish"})
//	out, err := l.Command("ssh", "gpu1", "uname").Output()
//	l.Machine("gpu1").Cut()
//
// A lab needs root, and RBEE_LAB_ROOT to name the folder. Without them the test
// is skipped, but in CI it fails. Everything is torn down with the test; what a
// killed test left behind, the next one removes.
package lab
