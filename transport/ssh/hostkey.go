package ssh

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"rbee.dev/rbee/ops"
)

// hostKeys checks the key of one hop against the known hosts.
type hostKeys struct {
	hop     Hop
	options Options
	db      *knownhosts.HostKeyDB
	err     *ops.Error        // why the key was refused
	origin  map[string]string // the files that those in db are copies of
}

func newHostKeys(hop Hop, o Options) (*hostKeys, error) {
	k := &hostKeys{hop: hop, options: o}
	var err error
	k.db, err = k.load()
	return k, err
}

// load reads the files that are there.
func (k *hostKeys) load() (*knownhosts.HostKeyDB, error) {
	var files []string
	for _, f := range slices.Concat(k.hop.knownHosts, k.hop.systemKnownHosts) {
		if _, err := os.Stat(f); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		files = append(files, f)
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		// Perhaps only for lines that ssh passes over.
		db, k.origin, err = loadReadable(files)
	}
	if err != nil {
		return nil, ops.Errorf(ops.CodeInvalid, "read the known hosts: %w", err).WithHint("remove or correct that line; ssh-keygen -l -f FILE shows which are sound")
	}
	return db, nil
}

// plainAlgorithms are the host key algorithms taken from a host of which
// nothing is known. SHA-1 (ssh-rsa, ssh-dss) is not, as in OpenSSH since 8.8.
var plainAlgorithms = []string{
	xssh.KeyAlgoED25519, xssh.KeyAlgoECDSA256, xssh.KeyAlgoECDSA384, xssh.KeyAlgoECDSA521,
	xssh.KeyAlgoSKED25519, xssh.KeyAlgoSKECDSA256, xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256,
}

// certificateAlgorithms are those of hosts that an authority speaks for.
var certificateAlgorithms = []string{
	xssh.CertAlgoED25519v01, xssh.CertAlgoECDSA256v01, xssh.CertAlgoECDSA384v01, xssh.CertAlgoECDSA521v01,
	xssh.CertAlgoSKED25519v01, xssh.CertAlgoSKECDSA256v01, xssh.CertAlgoRSASHA512v01, xssh.CertAlgoRSASHA256v01,
}

// algorithms has those of the keys that are known first, so that a host with
// several shows one that can be checked. The others follow: a host that has
// none of the known keys left is to be refused for that, with what it shows.
// Certificates are asked for where an authority is known, of any type: the
// authority's own says nothing about its hosts'.
func (k *hostKeys) algorithms() []string {
	var first []string
	for _, a := range k.db.HostKeyAlgorithms(k.hop.keyName()) {
		switch {
		case strings.Contains(a, "-cert-"):
			first = slices.Concat(certificateAlgorithms, first)
		case slices.Contains(plainAlgorithms, a): // no SHA-1
			first = append(first, a)
		}
	}
	var all []string
	for _, a := range append(first, plainAlgorithms...) {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// check is an [xssh.HostKeyCallback]. It is called once the host has proved
// that it has the key.
func (k *hostKeys) check(_ string, remote net.Addr, key xssh.PublicKey) error {
	err := k.db.HostKeyCallback()(k.hop.keyName(), remote, key)
	if knownhosts.IsHostUnknown(err) {
		err = k.unknown(remote, key)
	}
	if err == nil {
		return nil
	}
	k.err = k.refusal(err, key)
	return k.err
}

// refusal makes an error for a person.
func (k *hostKeys) refusal(err error, key xssh.PublicKey) *ops.Error {
	host, shown := k.hop.Address(), describe(key)
	if e, ok := errors.AsType[*ops.Error](err); ok {
		return e
	}
	if revoked, ok := errors.AsType[*xknownhosts.RevokedError](err); ok {
		return ops.Errorf(ops.CodeDenied, "the host key of %s is revoked: %s, by %s:%d", host, shown, k.place(revoked.Revoked.Filename), revoked.Revoked.Line).
			WithHint("do not connect; ask the machine's administrator for its new key")
	}
	changed, ok := errors.AsType[*xknownhosts.KeyError](err)
	if !ok {
		return ops.Errorf(ops.CodeDenied, "the host key of %s (%s) is refused: %w", host, shown, err).
			WithHint("ask the machine's administrator which key it should have")
	}
	var known []string
	for _, w := range changed.Want {
		known = append(known, fmt.Sprintf("%s (%s:%d)", describe(w.Key), k.place(w.Filename), w.Line))
	}
	return ops.Errorf(ops.CodeDenied, "the host key of %s has changed: it is %s, known is %s", host, shown, strings.Join(known, ", ")).
		WithHint("somebody may be in between. If the machine was set up anew and the first fingerprint is its own: ssh-keygen -R '%s'", knownhosts.Normalize(k.hop.keyName()))
}

// unknown accepts or refuses the key of a host never seen.
func (k *hostKeys) unknown(remote net.Addr, key xssh.PublicKey) error {
	shown := &UnknownHostKey{Host: k.hop.Address(), KeyType: key.Type(), Fingerprint: xssh.FingerprintSHA256(key)}
	switch accepted := k.options.AcceptFingerprint; {
	case accepted == shown.Fingerprint:
	case k.options.AcceptNewHostKey && accepted == "":
	case accepted != "":
		return ops.Errorf(ops.CodeDenied, "%w, not %s as accepted", shown, clip(accepted)).
			WithHint("compare it with the machine's own: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there")
	default:
		return ops.Errorf(ops.CodeDenied, "%w", shown).
			WithHint("if that is the machine's fingerprint, go on with --accept-new-host-key")
	}
	return k.remember(remote, key)
}

func describe(key xssh.PublicKey) string { return key.Type() + " " + xssh.FingerprintSHA256(key) }

// place is the file that a person knows.
func (k *hostKeys) place(file string) string { return cmp.Or(k.origin[file], file) }
