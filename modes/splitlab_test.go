package modes_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh/lab"
)

// oneThread puts a program of the machine's behind one of the same name that runs
// it with one thread, since all machines of a lab share the processors.
const oneThread = `for p in llama-server rpc-server; do
	printf '#!/bin/sh\nexec /usr/bin/%s "$@" --threads 1\n' $p >/usr/local/bin/$p; chmod 755 /usr/local/bin/$p
done
`

// workers lists what the site's queen knows.
func (s *site) workers() []ops.Worker {
	s.t.Helper()
	var list ops.Workers
	if err := json.Unmarshal([]byte(s.rbee("worker", "list", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	return list.Workers
}

// TestLabAModelIsDividedOverMachines divides a model over two machines that do
// not reach each other but through the queen, with Debian's llama.cpp and OpenSSH
// on both.
func TestLabAModelIsDividedOverMachines(t *testing.T) {
	t.Parallel()
	root := llamacpptest.Root(t)
	s := newSite(t,
		lab.Machine{Name: "gpu1", Root: root, Setup: oneThread},
		// Where OpenSSH forwards no sockets, the pipe carries them.
		lab.Machine{Name: "gpu2", Root: root, Setup: oneThread, SSHD: "AllowStreamLocalForwarding no\nAllowTcpForwarding no"},
	)
	for _, name := range []string{"gpu1", "gpu2"} {
		s.rbee("hive", "install", "--host", name)
	}
	greedy := func() string {
		t.Helper()
		return s.rbee("infer", "-q", "--hive", "gpu1", "--model", "tinybee", "--temperature", "0", "-n", "60", "Once upon a time")
	}
	var whole, main ops.Worker
	if err := json.Unmarshal([]byte(s.rbee("worker", "spawn", "tinybee", "--hive", "gpu1", "-o", "json")), &whole); err != nil || whole.Engine != "llamacpp" {
		t.Fatalf("%+v, %v", whole, err)
	}
	want := greedy()
	s.rbee("worker", "delete", whole.ID, "--hive", "gpu1")
	if err := json.Unmarshal([]byte(s.rbee("worker", "spawn", "--model", "tinybee", "--hives", "gpu1,gpu2", "-o", "json")), &main); err != nil {
		t.Fatal(err)
	}
	if got := greedy(); got != want {
		t.Errorf("divided it says %q, whole %q", got, want)
	}
	for _, name := range []string{"gpu1", "gpu2"} {
		for line := range strings.Lines(s.lab.Machine(name).Run("cat /proc/net/tcp /proc/net/tcp6")) {
			row := strings.Fields(line)
			if len(row) > 9 && row[3] == "0A" && !strings.HasSuffix(row[1], ":0016") && !strings.HasPrefix(row[1], "0100007F:") {
				t.Errorf("on %s something listens on %s, beside the SSH server and loopback", name, row[1])
			}
		}
	}

	// The cable of the further machine is out for a while.
	s.lab.Machine("gpu2").Cut()
	if out, err := s.command("infer", "-q", "--hive", "gpu1", "--model", "tinybee", "-n", "400", "Once").CombinedOutput(); err == nil || !strings.Contains(string(out), "on hive gpu2") {
		t.Errorf("with gpu2 cut off: %v, %s", err, out)
	}
	s.lab.Machine("gpu2").Restore()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		out, err := s.command("infer", "-q", "--hive", "gpu1", "--model", "tinybee", "--temperature", "0", "-n", "60", "Once upon a time").Output()
		if err == nil && string(out) == want {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come back: %v, %q, %+v", err, out, s.workers())
		}
		time.Sleep(time.Second)
	}

	s.rbee("worker", "delete", main.ID, "--hive", "gpu1")
	if left := s.workers(); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	for _, name := range []string{"gpu1", "gpu2"} {
		if left := s.lab.Machine(name).Run("pgrep -u alice -fa 'llama-server|rpc-server' || true"); left != "" {
			t.Errorf("left on %s: %s", name, left)
		}
		s.rbee("hive", "uninstall", name)
	}
}
