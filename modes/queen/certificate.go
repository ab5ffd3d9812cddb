package queen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// selfSigned asks for a certificate that the queen makes itself.
const selfSigned = "self"

// selfLasts is how long such a certificate is valid. Keepers pin it, so that its
// end would only be in the way.
const selfLasts = 20 * 365 * 24 * time.Hour

// certificate is what the queen's TLS listener shows, and its fingerprint; nil
// is no TLS.
func (q *Queen) certificate() (*tls.Certificate, string, error) {
	var cert tls.Certificate
	var err error
	switch {
	case q.TLSCert != "" && q.TLSKey != "":
		cert, err = givenCertificate(q.TLSCert, q.TLSKey)
	case q.TLS == selfSigned:
		cert, err = ownCertificate(q.Home.Certificate(), q.Listen)
	default:
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if cert.Leaf == nil {
		return nil, "", fmt.Errorf("the certificate of %s has no leaf", q.TLSCert)
	}
	if err := q.inTime(cert.Leaf, time.Now()); err != nil {
		return nil, "", err
	}
	return &cert, daemon.Fingerprint(cert.Leaf), nil
}

// inTime refuses a certificate that every client would: a queen that nobody can
// reach says better why at her start.
func (q *Queen) inTime(cert *x509.Certificate, now time.Time) error {
	path, remedy := q.TLSCert, "renew it, its file and its key's, and start the queen again; with --tls self in place of --tls-cert and --tls-key she makes one herself"
	if path == "" {
		path = q.Home.Certificate()
		remedy = "rm " + path + " has the queen make a new one at her next start; keepers elsewhere are to be told its fingerprint then"
	}
	moment := func(t time.Time) string { return t.Local().Format(time.DateTime) }
	switch {
	case now.After(cert.NotAfter):
		return ops.Invalid("tls-cert", "the certificate %s has expired on %s", path, moment(cert.NotAfter)).WithHint("%s", remedy)
	case now.Before(cert.NotBefore):
		return ops.Invalid("tls-cert", "the certificate %s is valid from %s on only, and here it is %s", path, moment(cert.NotBefore), moment(now)).
			WithHint("is this machine's clock right? Else %s", remedy)
	}
	return nil
}

// givenCertificate reads a certificate and its key.
func givenCertificate(certFile, keyFile string) (tls.Certificate, error) {
	certText, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, ops.Invalid("tls-cert", "the certificate cannot be read: %w", err)
	}
	keyText, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, ops.Invalid("tls-key", "the certificate's key cannot be read: %w", err)
	}
	cert, err := tls.X509KeyPair(certText, keyText)
	if err == nil {
		return cert, nil
	}
	is := func(text []byte, kind string) bool {
		block, _ := pem.Decode(text)
		return block != nil && strings.HasSuffix(block.Type, kind)
	}
	switch {
	case is(certText, "PRIVATE KEY") && is(keyText, "CERTIFICATE"):
		err = ops.Invalid("tls-cert", "%s is a key and %s a certificate", certFile, keyFile).WithHint("give them the other way round")
	case !is(certText, "CERTIFICATE"):
		err = ops.Invalid("tls-cert", "%s holds no certificate in PEM", certFile).WithHint("such a file begins with -----BEGIN CERTIFICATE-----")
	case strings.Contains(string(keyText), "ENCRYPTED"):
		err = ops.Invalid("tls-key", "%s is locked by a passphrase, which a queen that starts by itself has nobody to ask for", keyFile).
			WithHint("openssl pkey -in %s -out FILE writes it without", keyFile)
	default:
		err = ops.Invalid("tls-key", "%s is not the key of the certificate %s: %w", keyFile, certFile, err).
			WithHint("openssl x509 -noout -pubkey -in CERT and openssl pkey -pubout -in KEY print the same for two that belong together")
	}
	return tls.Certificate{}, err
}

// ownCertificate reads the self-signed certificate and its key from the file at
// path, and makes them where there are none. Whoever can read the file can pass
// for the queen, so only its owner may.
func ownCertificate(path, listen string) (tls.Certificate, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = newCertificate(listen); err == nil {
			err = renameio.WriteFile(path, text, 0o600)
		}
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("keep the queen's certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return cert, fmt.Errorf("read the queen's certificate %s: %w", path, err)
	}
	return cert, nil
}

// newCertificate makes a self-signed certificate for the names and addresses
// that this machine has now, and its key, as PEM.
func newCertificate(listen string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "rbee queen"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfLasts),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: append([]string{"localhost"}, machineNames(listen)...), IPAddresses: machineIPs(),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = errors.Join(pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return text.Bytes(), err
}

// machineNames are the names that other machines may call this one by: its own,
// also as multicast DNS has it, and the one that it listens on.
func machineNames(listen string) []string {
	var names []string
	if name, err := os.Hostname(); err == nil && name != "" && name != "localhost" {
		name = strings.ToLower(name)
		names = append(names, name)
		if !strings.Contains(name, ".") {
			names = append(names, name+".local")
		}
	}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" && host != "localhost" && net.ParseIP(host) == nil {
		names = append(names, strings.ToLower(host))
	}
	return names
}

func machineIPs() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ips // keepers go by the fingerprint
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return ips
}
