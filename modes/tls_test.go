package modes_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve runs the queen of p in the foreground with flags, until the test ends.
func (p *place) serve(flags ...string) {
	p.t.Helper()
	cmd := p.command(append([]string{"queen", "serve"}, flags...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // its status is the signal's
	})
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if p.command("queen", "status").Run() == nil && p.command("-q", "job", "list").Run() == nil {
			return
		}
	}
	p.t.Fatalf("the queen does not answer: %s", said.String())
}

// otherAddress is an address of this machine beside loopback.
func otherAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this machine has no address beside loopback")
	}
	t.Skip("this machine has no address beside loopback")
	return ""
}

func TestAKeeperElsewherePinsTheQueenAndUsesIt(t *testing.T) {
	address := otherAddress(t)
	p := newPlace(t)
	secret := p.newSecret("--scope", "jobs", "--scope", "inference")
	p.rbee("queen", "stop")
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	p.serve("--listen", "0.0.0.0:"+port, "--tls", "self")
	shown := p.record("queen").Fingerprint
	if out := p.rbee("queen", "status"); !strings.Contains(out, shown) || !strings.Contains(out, "https://localhost:"+port+"/v1") {
		t.Errorf("the status does not tell how it is reached: %s", out)
	}
	if p.rbee("infer", "-q", "-n", "3", "Once upon a time") == "" {
		t.Error("its own keeper gets no text")
	}

	home := t.TempDir() // of another machine
	elsewhere := func(token string, args ...string) (string, error) {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "RBEE_HOME="+home, "RBEE_QUEEN=https://"+net.JoinHostPort(address, port), "RBEE_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := elsewhere(secret, "status"); err == nil || !strings.Contains(out, "--queen-fingerprint "+shown) {
		t.Errorf("at first: %s, %v", out, err)
	}
	if out, err := elsewhere(secret, "status", "--queen-fingerprint", shown); err != nil || !strings.Contains(out, "localhost") {
		t.Errorf("accepted: %s, %v", out, err)
	}
	if out, err := elsewhere(secret, "infer", "-n", "5", "Once upon a time"); err != nil || strings.TrimSpace(out) == "" {
		t.Errorf("infer: %s, %v", out, err)
	}
	if out, err := elsewhere("wrong", "status"); err == nil || !strings.Contains(out, "neither an API key nor the token") {
		t.Errorf("with a wrong key: %s, %v", out, err)
	}
	if out, err := elsewhere("", "status"); err == nil || !strings.Contains(out, "a bearer token is wanted") {
		t.Errorf("without one: %s, %v", out, err)
	}
	p.env = append(p.env, "RBEE_LISTEN=") // which would say where else
	p.rbee("queen", "restart")
	if again := p.record("queen"); again.Fingerprint != shown {
		t.Errorf("a restart has changed the certificate: %+v", again)
	}
	if out, err := elsewhere(secret, "status"); err != nil {
		t.Errorf("after a restart: %s, %v", out, err)
	}
}
