package queen

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"rbee.dev/rbee/ops"
)

// occupy opens the queen's address, where what protects it is there.
func (q *Queen) occupy() error {
	cert, fingerprint, err := q.certificate()
	if err != nil {
		return err
	}
	if err := q.checkKeys(); err != nil {
		return err
	}
	if q.ln, err = bind(q.Listen); err != nil {
		return err
	}
	q.address, q.fingerprint, q.names = q.ln.Addr().String(), fingerprint, slices.Clone(q.Hosts)
	if cert != nil {
		q.ln = tls.NewListener(q.ln, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
		for _, name := range cert.Leaf.DNSNames {
			if !strings.HasPrefix(name, "*") { // a name that it proves cannot be taken by a page
				q.names = append(q.names, strings.ToLower(name))
			}
		}
	}
	if !q.onLoopback() {
		q.names = append(q.names, machineNames(q.Listen)...)
	}
	return nil
}

// bind opens an address.
func bind(address string) (net.Listener, error) {
	network := "tcp"
	if host, _, err := net.SplitHostPort(address); err == nil && host == net.IPv4zero.String() {
		network = "tcp4" // and not IPv6 as well, which nobody has asked for
	}
	ln, err := net.Listen(network, address) //nolint:noctx // there is no context before Run
	if err == nil {
		return ln, nil
	}
	hint := "choose another address by --listen or RBEE_LISTEN (port 0 takes any free one)"
	if errors.Is(err, syscall.EADDRINUSE) {
		hint = "another program has the port: " + hint
	}
	return nil, ops.Errorf(ops.CodeUnavailable, "cannot listen on %s: %w", address, without(err)).WithHint("%s", hint)
}

// scheme is that of the queen's URLs.
func (q *Queen) scheme() string {
	if q.fingerprint != "" {
		return "https"
	}
	return "http"
}

// onLoopback reports whether only this machine can reach the address.
func (q *Queen) onLoopback() bool {
	host, _, err := net.SplitHostPort(q.Listen)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// checkListen refuses what would put the token or keys onto a network in the
// clear: with the job API they can run commands.
func (q *Queen) checkListen() error {
	_, port, err := net.SplitHostPort(q.Listen)
	if err == nil {
		_, err = net.LookupPort("tcp", port) //nolint:noctx // it asks a file at most
	}
	if err != nil {
		return ops.Invalid("listen", "must be HOST:PORT with a port up to 65535, got %q", q.Listen).
			WithHint("--listen or RBEE_LISTEN gives it, as 127.0.0.1:7833")
	}
	secured := q.TLS != "" || q.TLSCert != ""
	switch {
	case q.TLS != "" && q.TLS != selfSigned:
		return ops.Invalid("tls", "must be self, got %q", q.TLS).WithHint("a certificate of your own is given by --tls-cert and --tls-key")
	case q.TLS != "" && q.TLSCert != "":
		return ops.Invalid("tls", "goes not with --tls-cert: choose one")
	case (q.TLSCert == "") != (q.TLSKey == ""):
		return ops.Invalid("tls-cert", "goes with --tls-key: give both, or none")
	case !q.onLoopback() && !secured && !q.InsecureHTTP:
		return ops.Invalid("listen", "must be a loopback address where nothing encrypts, got %q: keys would cross the network in the clear", q.Listen).
			WithHint("--tls self or --tls-cert encrypts; --insecure-http says that something else does; or forward the port: ssh -L 7833:127.0.0.1:7833 HOST")
	}
	for _, host := range q.Hosts {
		if host == "" || strings.ContainsAny(host, "/:* \t\r\n") || strings.ToLower(host) != host {
			return ops.Invalid("host-name", "must be a name in lower case without port, got %q", host)
		}
	}
	return q.checkOrigins()
}

// checkOrigins wants origins as browsers send them: a page's host is not enough,
// and all pages there are would be too much.
func (q *Queen) checkOrigins() error {
	for _, origin := range q.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Scheme+"://"+u.Host != origin || strings.Contains(u.Host, "*") {
			return ops.Invalid("cors-origin", "must be one origin as https://app.example or http://localhost:3000, got %q", origin)
		}
	}
	return nil
}

// checkKeys wants an API key before other machines are listened to, directly or
// under a name of a proxy's.
func (q *Queen) checkKeys() error {
	if q.onLoopback() && len(q.Hosts) == 0 || q.access.Active() {
		return nil
	}
	what := "listening on " + q.Listen
	if q.onLoopback() {
		what = "being reached as " + strings.Join(q.Hosts, ", ")
	}
	return ops.Errorf(ops.CodeDenied, "%s wants an API key for inference, and there is none that is active", what).
		WithHint("make one by a queen of this machine alone: `RBEE_LISTEN= RBEE_HOST_NAMES= rbee key create --name NAME`, then `rbee queen stop`, and this again")
}

// without is a network's error without what was tried, which the reader is told
// already.
func without(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}
