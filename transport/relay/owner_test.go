package relay_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"rbee.dev/rbee/transport/relay"
)

func TestOnlyThisAccountsConnectionsAreOwn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does not tell")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	own, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if err := relay.OwnPeer(accepted); err != nil {
		t.Errorf("a connection of our own: %v", err)
	}
	if err := relay.OwnPort(address); err != nil {
		t.Errorf("a port of our own: %v", err)
	}
	if err := relay.OwnPort("127.0.0.1:1"); !errors.Is(err, relay.ErrForeign) {
		t.Errorf("a port that nobody listens on: %v", err)
	}

	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), "setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port+"; read -u 3 x")
	if err := other.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = other.Wait() }() // it ends with its connection
	foreign, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if err := relay.OwnPeer(foreign); !errors.Is(err, relay.ErrForeign) {
		t.Errorf("a connection of another account's: %v", err)
	}
}
