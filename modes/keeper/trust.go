package keeper

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
)

// verifying is a configuration in which verify alone says whether a server's
// certificate is trusted: what pins a fingerprint needs no authority.
func verifying(verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: verify} //nolint:gosec // verify decides
}

// pinned trusts the queen that the pid file is of, whatever its certificate says:
// only this account writes that file.
func pinned(pidFile string) *tls.Config {
	return verifying(func(state tls.ConnectionState) error {
		record, err := daemon.Read(pidFile)
		if err != nil {
			return fmt.Errorf("read who this account's queen is: %w", err)
		}
		if daemon.Fingerprint(state.PeerCertificates[0]) != record.Fingerprint {
			return ops.Errorf(ops.CodeDenied, "something else than this account's queen listens on %s", record.Address)
		}
		return nil
	})
}

// fingerprint is a certificate's as [daemon.Fingerprint] makes it.
var fingerprint = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)

// trust says what certificate the queen at u may show: the one that is known, as
// ssh knows hosts; else one that an authority of the system's vouches for; else
// the one that the person names, which is known from then on.
func (k *Keeper) trust(u *url.URL) (*tls.Config, error) {
	if k.Pin != "" && !fingerprint.MatchString(k.Pin) {
		return nil, ops.Invalid("queen_fingerprint", "must be SHA256: and 43 characters of base64, as `rbee queen status` on its machine shows it, got %q", k.Pin)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	path := k.Home.KnownQueens()
	known, err := knownQueens(path)
	if err != nil {
		return nil, err
	}
	return verifying(func(state tls.ConnectionState) error {
		shown := daemon.Fingerprint(state.PeerCertificates[0])
		switch pin := known[address]; {
		case pin == shown && (k.Pin == "" || k.Pin == shown):
			return nil
		case pin == shown:
			return ops.Errorf(ops.CodeDenied, "the queen at %s shows the certificate that is known, %s, and --queen-fingerprint is %s", address, shown, k.Pin).
				WithHint("leave --queen-fingerprint and RBEE_QUEEN_FINGERPRINT out; if another queen was meant, is the address right?")
		case pin != "":
			return changed(address, pin, shown, path)
		case k.Pin == shown:
			return remember(path, address, shown)
		case k.Pin != "":
			return ops.Errorf(ops.CodeDenied, "the queen at %s shows the certificate %s, not %s", address, shown, k.Pin).
				WithHint("this may be another queen, or somebody between you and it; `rbee queen status` on its machine names its own")
		case vouched(state, u.Hostname()) == nil:
			return nil
		}
		return untrusted(address, u.Hostname(), shown, state)
	}), nil
}

// untrusted is the error of a certificate that neither a person nor an authority
// stands for, or not for this name or at this time.
func untrusted(address, host, shown string, state tls.ConnectionState) error {
	cert := state.PeerCertificates[0]
	within := x509.VerifyOptions{Intermediates: intermediates(state), CurrentTime: cert.NotAfter} // which asks for the authority alone
	if _, err := cert.Verify(within); err != nil {
		return ops.Errorf(ops.CodeDenied, "the queen at %s shows a certificate that is not known here: %s", address, shown).
			WithHint("compare that with what `rbee queen status` says on its machine; if it is the same: --queen-fingerprint %s, once", shown)
	}
	now := time.Now()
	switch {
	case now.After(cert.NotAfter):
		return ops.Errorf(ops.CodeDenied, "the certificate of the queen at %s has expired on %s", address, when(cert.NotAfter)).
			WithHint("renew it on its machine, then `rbee queen restart` there")
	case now.Before(cert.NotBefore):
		return ops.Errorf(ops.CodeDenied, "the certificate of the queen at %s is valid from %s on only", address, when(cert.NotBefore)).
			WithHint("is this machine's clock right?")
	}
	if err := cert.VerifyHostname(host); err != nil {
		return ops.Errorf(ops.CodeDenied, "the certificate of the queen at %s is not for that name: it is for %s", address, certified(cert)).
			WithHint("call it by such a name; or, if `rbee queen status` on its machine says the same: --queen-fingerprint %s, once", shown)
	}
	return ops.Errorf(ops.CodeDenied, "the certificate of the queen at %s is not taken: %w", address, vouched(state, host)).
		WithHint("one of its authority's may have expired: renew it on the queen's machine, with its chain")
}

// certified lists the names and addresses that a certificate is for.
func certified(cert *x509.Certificate) string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return strings.Join(names, ", ")
}

// changed is the error of a queen that is not the one that was known.
func changed(address, known, shown, path string) error {
	return ops.Errorf(ops.CodeDenied, "the certificate of the queen at %s has changed: it shows %s, known is %s", address, shown, known).
		WithHint("somebody may be between you and it; if it was set up anew, take its line out of %s", path)
}

// vouched asks whether an authority that the system trusts stands for the
// certificate.
func vouched(state tls.ConnectionState, host string) error {
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: intermediates(state)})
	return err
}

func intermediates(state tls.ConnectionState) *x509.CertPool {
	others := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		others.AddCert(c)
	}
	return others
}

// knownQueens reads the file of known queens: a line for each, with its address
// and its certificate's fingerprint. Lines that begin with # are remarks.
func knownQueens(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the known queens: %w", err)
	}
	known := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) >= 2 && !strings.HasPrefix(words[0], "#") {
			known[words[0]] = words[1]
		}
	}
	return known, lines.Err()
}

// remember adds a queen to the known ones.
func remember(path, address, fingerprint string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the known queens: %w", err)
	}
	if known, err := knownQueens(path); err == nil && known[address] == fingerprint {
		return nil // by another connection of this command
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("remember the queen: %w", err)
	}
	if err := renameio.WriteFile(path, fmt.Appendf(text, "%s %s\n", address, fingerprint), 0o600); err != nil {
		return fmt.Errorf("remember the queen: %w", err)
	}
	return nil
}
