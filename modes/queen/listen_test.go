package queen

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// end takes down a queen that never ran.
func end(t *testing.T, q *Queen) {
	t.Helper()
	if err := q.ln.Close(); err != nil {
		t.Error(err)
	}
	if err := q.close(); err != nil {
		t.Error(err)
	}
}

// withKey makes an API key in the home of o, as an earlier queen would have.
func withKey(t *testing.T, o Options) {
	t.Helper()
	o.Listen, o.TLS, o.TLSCert, o.TLSKey, o.Hosts, o.Origins, o.InsecureHTTP = "127.0.0.1:0", "", "", "", nil, nil, false
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.KeyCreate(t.Context(), ops.KeyCreate{Digest: ops.KeyDigest("secret")}); err != nil {
		t.Error(err)
	}
	end(t, q)
}

func TestWhereOthersCanReachItAQueenWantsAKeyAndEncryption(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Options)
		key    bool
		field  string // of the refusal
		code   ops.Code
	}{
		"in the clear":                      {func(o *Options) { o.Listen = "0.0.0.0:0" }, true, "listen", ops.CodeInvalid},
		"encrypted, without a key":          {func(o *Options) { o.Listen, o.TLS = "0.0.0.0:0", "self" }, false, "", ops.CodeDenied},
		"encrypted, with a key":             {func(o *Options) { o.Listen, o.TLS = "0.0.0.0:0", "self" }, true, "", ""},
		"in the clear, as said, no key":     {func(o *Options) { o.Listen, o.InsecureHTTP = "0.0.0.0:0", true }, false, "", ops.CodeDenied},
		"in the clear, as said, with a key": {func(o *Options) { o.Listen, o.InsecureHTTP = "0.0.0.0:0", true }, true, "", ""},
		"behind a proxy, without a key":     {func(o *Options) { o.Hosts = []string{"llm.example"} }, false, "", ops.CodeDenied},
		"behind a proxy, with a key":        {func(o *Options) { o.Hosts = []string{"llm.example"} }, true, "", ""},
		"on loopback, encrypted":            {func(o *Options) { o.TLS = "self" }, false, "", ""},
		"another word than self":            {func(o *Options) { o.TLS = "yes" }, true, "tls", ops.CodeInvalid},
		"half a certificate":                {func(o *Options) { o.TLSCert = "/c.pem" }, true, "tls-cert", ops.CodeInvalid},
		"a certificate that is not there":   {func(o *Options) { o.TLSCert, o.TLSKey = "/c.pem", "/k.pem" }, true, "tls-cert", ops.CodeInvalid},
		"two certificates":                  {func(o *Options) { o.TLS, o.TLSCert, o.TLSKey = "self", "/c", "/k" }, true, "tls", ops.CodeInvalid},
		"a name with a port":                {func(o *Options) { o.Hosts = []string{"llm.example:80"} }, true, "host-name", ops.CodeInvalid},
		"two names in one":                  {func(o *Options) { o.Hosts = []string{"a b"} }, true, "host-name", ops.CodeInvalid},
		"every name":                        {func(o *Options) { o.Hosts = []string{"*"} }, true, "host-name", ops.CodeInvalid},
		"an origin":                         {func(o *Options) { o.Origins = []string{"https://app.example", "http://localhost:3000"} }, false, "", ""},
		"every origin":                      {func(o *Options) { o.Origins = []string{"*"} }, true, "cors-origin", ops.CodeInvalid},
		"every origin of a domain":          {func(o *Options) { o.Origins = []string{"https://*.example"} }, true, "cors-origin", ops.CodeInvalid},
		"an origin with a path":             {func(o *Options) { o.Origins = []string{"https://app.example/"} }, true, "cors-origin", ops.CodeInvalid},
		"an origin of files":                {func(o *Options) { o.Origins = []string{"null"} }, true, "cors-origin", ops.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "127.0.0.1:0")
			tt.change(&o)
			if tt.key {
				withKey(t, o)
			}
			q, err := New(o)
			if err == nil {
				end(t, q)
			}
			if e := ops.AsError(err); ops.CodeOf(err) != tt.code || e != nil && e.Field != tt.field {
				t.Errorf("%v (%s), want %q about %q", err, ops.CodeOf(err), tt.code, tt.field)
			}
		})
	}
}

func TestItsOwnCertificateIsMadeOnceAndKeptToItself(t *testing.T) {
	o := options(t, "127.0.0.1:0")
	o.TLS = "self"
	var seen []string
	for range 2 {
		q, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		record, err := daemon.Read(o.Home.PIDFile("queen"))
		if err != nil || record.Fingerprint == "" || !strings.HasPrefix(record.URL(), "https://127.0.0.1:") || !slices.Contains(record.Args, "--tls=self") {
			t.Errorf("the record %+v, %v", record, err)
		}
		seen = append(seen, record.Fingerprint)
		if got := shown(t, q.ln); got != record.Fingerprint {
			t.Errorf("it shows %s, its record says %s", got, record.Fingerprint)
		}
		end(t, q)
	}
	q := &Queen{Options: o}
	if err := q.inTime(&x509.Certificate{NotAfter: time.Now().Add(-time.Hour)}, time.Now()); err == nil || !strings.Contains(ops.AsError(err).Hint, "rm "+o.Home.Certificate()) {
		t.Errorf("once it has expired: %v", err)
	}
	if seen[0] != seen[1] {
		t.Errorf("the certificates %q differ", seen)
	}
	if info, err := os.Stat(o.Home.Certificate()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file: %v, %v", info, err)
	}
	if err := os.WriteFile(o.Home.Certificate(), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), o.Home.Certificate()) {
		t.Errorf("with a broken one: %v", err)
	}
}

// shown is the fingerprint of the certificate that a listener shows.
func shown(t *testing.T, l net.Listener) string {
	t.Helper()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*tls.Conn).HandshakeContext(t.Context())
			_ = conn.Close()
		}
		served <- err
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	return daemon.Fingerprint(conn.ConnectionState().PeerCertificates[0])
}

func TestACertificateOfOnesOwnTellsTheNamesThatAreServed(t *testing.T) {
	o := options(t, "0.0.0.0:0")
	text, err := newCertificate("llm.example:443")
	if err != nil {
		t.Fatal(err)
	}
	o.TLSCert = filepath.Join(t.TempDir(), "both.pem")
	o.TLSKey = o.TLSCert
	if err := os.WriteFile(o.TLSCert, text, 0o600); err != nil {
		t.Fatal(err)
	}
	withKey(t, o)
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, q)
	if !slices.Contains(q.names, "llm.example") || slices.Contains(q.args(), "--host-name=llm.example") {
		t.Errorf("it serves %q, its flags are %q", q.names, q.args())
	}
}

func TestAHintNamesAnotherProgramOnlyWhereThereIsOne(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, other := range map[string]bool{taken.Addr().String(): true, "127.0.0.1:99999": false} {
		_, err := New(options(t, address))
		if e := ops.AsError(err); e == nil || strings.Contains(e.Hint, "another program") != other {
			t.Errorf("%s: %v", address, e)
		}
	}
}

func TestAQueenListensWhereSheIsToldAndSaysSo(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0:", "127.0.0.1:0": "127.0.0.1:"} {
		ln, err := bind(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := ln.Addr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("on %s in place of %s", got, address)
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
}
