package modes_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/transport"
)

// bareProxy is what the test binary is called with to be one: a reverse proxy of the
// standard library's and nothing else, by which the cost of a hop is measured that
// nobody can save.
const bareProxy = "bare-proxy"

// serveBareProxy passes what comes at an address, "" of TCP or else a socket's path, on
// to a socket, and prints the address first.
func serveBareProxy(at, target string) int {
	network := "unix"
	if at == "" {
		network, at = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, at) //nolint:noctx // it ends with the process
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(l.Addr())
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "localhost", "localhost"
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", target)
		}},
	}
	fmt.Fprintln(os.Stderr, http.Serve(l, proxy)) //nolint:gosec // for a test on this machine
	return 1
}

// proxied is the way to a worker's socket through two bare proxies, processes of their
// own as queen and hive are.
func proxied(tb testing.TB, socket string) *transport.Client {
	tb.Helper()
	start := func(at, target string) (address string) {
		tb.Helper()
		cmd := exec.CommandContext(tb.Context(), os.Args[0], bareProxy, at, target)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = cmd.Wait() }) // which the end of the context kills
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			tb.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	between := filepath.Join(filepath.Dir(socket), "proxy.sock")
	start(between, socket)
	c := transport.New(transport.Options{Name: "the proxy", BaseURL: "http://" + start("", between)})
	tb.Cleanup(c.Close)
	return c
}
