package modes_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// authority signs certificates, and its own is in a file.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	if runtime.GOOS != "linux" {
		if os.Getenv("CI") != "" {
			t.Fatal("CI runs on Linux")
		}
		t.Skip("SSL_CERT_FILE counts on Linux")
	}
	a := &authority{t: t, dir: t.TempDir()}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	a.cert = a.signed(template, template, a.key)
	a.file = a.write("authority.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) signed(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// certify makes a certificate for names that is valid from and to so long from
// now, and returns its file and that of its key.
func (a *authority) certify(from, to time.Duration, names ...string) (certFile, keyFile string) {
	a.t.Helper()
	now, key := time.Now(), newKey(a.t)
	cert := a.signed(&x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(from), NotAfter: now.Add(to),
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(names[0]+".pem", "CERTIFICATE", cert.Raw), a.write(names[0]+".key", "PRIVATE KEY", der)
}

// statusFrom is what a keeper of another machine says that asks for the status.
func statusFrom(home, url, authorities, token string, more ...string) (string, error) {
	cmd := exec.Command(binary, append([]string{"status"}, more...)...)
	cmd.Env = append(os.Environ(), "RBEE_HOME="+home, "RBEE_QUEEN="+url, "RBEE_TOKEN="+token, "SSL_CERT_FILE="+authorities)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAQueenWithACertificateOfAnAuthorityIsTrustedByItsName(t *testing.T) {
	a := newAuthority(t)
	p := newPlace(t)
	secret := p.newSecret("--scope", "jobs")
	p.rbee("queen", "stop")
	certFile, keyFile := a.certify(-time.Hour, time.Hour, "localhost")
	start := p.command("queen", "start")
	start.Dir = a.dir // the files are named as a person would who stands there
	start.Env = append(start.Env, "RBEE_TLS_CERT="+filepath.Base(certFile), "RBEE_TLS_KEY="+filepath.Base(keyFile))
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("%s, %v", out, err)
	}
	_, port, err := net.SplitHostPort(p.record("queen").Address)
	if err != nil {
		t.Fatal(err)
	}
	shown, other := p.record("queen").Fingerprint, "SHA256:"+strings.Repeat("x", 43)
	for _, tt := range []struct {
		name, host, authorities string
		flags                   []string
		want                    []string
	}{
		{"its authority is trusted", "localhost", a.file, nil, []string{"queen  up at"}},
		{"its authority is not", "localhost", os.DevNull, nil, []string{"not known here: " + shown, "--queen-fingerprint " + shown}},
		{"by a name that it is not for", "127.0.0.1", a.file, nil, []string{"is not for that name: it is for localhost", "call it by such a name"}},
		{"with another fingerprint", "localhost", a.file, []string{"--queen-fingerprint", other}, []string{"shows the certificate " + shown + ", not " + other}},
		{"with what is no fingerprint", "localhost", a.file, []string{"--queen-fingerprint", "other"}, []string{"--queen-fingerprint: must be SHA256: and 43 characters"}},
		{"by a name that it is not for, pinned", "127.0.0.1", a.file, []string{"--queen-fingerprint", shown}, []string{"queen  up at"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := statusFrom(t.TempDir(), "https://"+net.JoinHostPort(tt.host, port), tt.authorities, secret, tt.flags...)
			for _, want := range tt.want {
				if !strings.Contains(out, want) || (err == nil) != strings.HasPrefix(want, "queen  up") {
					t.Errorf("%s, %v; want %q", out, err, want)
				}
			}
		})
	}
	if out, err := statusFrom(t.TempDir(), "http://127.0.0.1:"+port, a.file, secret); err == nil || !strings.Contains(out, "https:// in place of http://") {
		t.Errorf("by plain HTTP: %s, %v", out, err)
	}
}

func TestACertificateOutOfItsTimeIsRefusedWithWhatToDo(t *testing.T) {
	a := newAuthority(t)
	for name, tt := range map[string]struct {
		from, to time.Duration
		want     string
	}{
		"expired":   {-48 * time.Hour, -24 * time.Hour, "has expired on"},
		"too early": {24 * time.Hour, 48 * time.Hour, "is this machine's clock right?"},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(a.certify(tt.from, tt.to, "localhost"))
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
			if out, err := statusFrom(t.TempDir(), url, a.file, "x"); err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("%s, %v; want %q", out, err, tt.want)
			}
		})
	}
}

func TestAQueenSaysWhatIsWrongWithTheFilesOfACertificate(t *testing.T) {
	a := newAuthority(t)
	certFile, keyFile := a.certify(-time.Hour, time.Hour, "llm.example")
	_, otherKey := a.certify(-time.Hour, time.Hour, "other.example")
	oldCert, oldKey := a.certify(-48*time.Hour, -24*time.Hour, "old.example")
	soonCert, soonKey := a.certify(24*time.Hour, 48*time.Hour, "soon.example")
	locked := a.write("locked.key", "ENCRYPTED PRIVATE KEY", []byte("?"))
	nothing := filepath.Join(a.dir, "nothing.pem")
	p := newPlace(t)
	for name, tt := range map[string]struct {
		cert, key string
		want      []string
	}{
		"a key of another":             {certFile, otherKey, []string{"--tls-key: ", "is not the key of the certificate " + certFile, "print the same"}},
		"the one for the other":        {keyFile, certFile, []string{"the other way round"}},
		"no certificate":               {locked, keyFile, []string{"--tls-cert: ", "no certificate in PEM"}},
		"a key that is locked":         {certFile, locked, []string{"--tls-key: ", "passphrase", "openssl pkey"}},
		"a certificate that is absent": {nothing, keyFile, []string{"--tls-cert: ", nothing + ": no such file"}},
		"a certificate of the past":    {oldCert, oldKey, []string{"--tls-cert: ", "the certificate " + oldCert + " has expired on 20", "--tls self", "start the queen again"}},
		"a certificate of the future":  {soonCert, soonKey, []string{"--tls-cert: ", soonCert + " is valid from 20", "on only, and here it is 20", "clock right"}},
		"a key that is absent":         {certFile, nothing, []string{"--tls-key: ", nothing + ": no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := p.command("queen", "serve", "--tls-cert", tt.cert, "--tls-key", tt.key)
			var said bytes.Buffer
			cmd.Stderr = &said
			_ = cmd.Run() // its status is looked at
			if code := cmd.ProcessState.ExitCode(); code != 2 {
				t.Errorf("exit code %d", code)
			}
			for _, want := range tt.want {
				if !strings.Contains(said.String(), want) {
					t.Errorf("%s; want %q", said.String(), want)
				}
			}
		})
	}
}

// TestAQueenThatCouldNotBeReplacedIsNotEnded: what is wrong is said while she goes
// on.
func TestAQueenThatCouldNotBeReplacedIsNotEnded(t *testing.T) {
	a := newAuthority(t)
	oldCert, oldKey := a.certify(-48*time.Hour, -24*time.Hour, "old.example")
	p := newPlace(t)
	p.rbee("queen", "start")
	before := p.record("queen").PID
	for name, tt := range map[string]struct {
		env  []string
		want []string
	}{
		"by a certificate of the past": {[]string{"RBEE_TLS_CERT=" + oldCert, "RBEE_TLS_KEY=" + oldKey}, []string{"the queen that runs goes on", "has expired on", "renew it"}},
		"by a policy that is none":     {[]string{"RBEE_POLICY=fastest"}, []string{"the queen that runs goes on", `there is no policy "fastest"`, "balanced"}},
		"by a number that is none":     {[]string{"RBEE_QUEUE_DEPTH=many"}, []string{"the queen that runs goes on", "queue-depth"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := p.command("queen", "restart")
			cmd.Env = append(cmd.Env, tt.env...)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 2 {
				t.Errorf("it ends with %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s; want %q", out, want)
				}
			}
			if now := p.record("queen").PID; now != before {
				t.Errorf("the queen was %d and is %d", before, now)
			}
		})
	}
	p.rbee("queen", "restart")
	if p.record("queen").PID == before {
		t.Error("it is not restarted where nothing is wrong")
	}
}
