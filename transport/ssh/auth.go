package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// auth is how a login to one hop goes.
type auth struct {
	hop     Hop
	secrets Secrets
	keys    []*Key

	signers  []xssh.Signer
	offered  []string // what the signers are, for a person
	locked   []*lockedKey
	agent    io.Closer // the agent's socket, or nil
	identity []*identity

	passworded bool     // a password was sent
	allowed    []string // the methods that the server said it takes
}

// newAuth collects the keys for hop. The caller closes it after the handshake.
func newAuth(ctx context.Context, hop Hop, o Options) *auth {
	a := &auth{hop: hop, secrets: o.Secrets, keys: o.Keys}
	for _, k := range a.keys {
		a.offer("rbee's own key "+k.Fingerprint(), k.signer)
	}
	for _, path := range hop.identities {
		if id := readIdentity(path, o.Secrets); id != nil {
			a.identity = append(a.identity, id)
		}
	}
	certificates := readCertificates(hop)
	agentKeys := a.agentKeys(ctx)
	a.offerAgent(agentKeys, true)
	if !hop.configured && !hop.identitiesOnly {
		a.offerAgent(agentKeys, false)
	}
	for _, id := range a.identity {
		a.offerFile(id, certificates)
	}
	if hop.configured && !hop.identitiesOnly {
		a.offerAgent(agentKeys, false)
	}
	for _, l := range a.locked { // these may end the login, so they come last
		a.offer(l.path+" (locked)", l)
	}
	return a
}

func (a *auth) close() {
	if a.agent != nil {
		_ = a.agent.Close()
	}
}

// methods are the ways in, best first.
func (a *auth) methods() []xssh.AuthMethod {
	m := []xssh.AuthMethod{xssh.PublicKeys(a.signers...)}
	password, ok := a.secrets.Passwords[a.hop.String()]
	if !ok {
		return m
	}
	return append(m, xssh.PasswordCallback(func() (string, error) {
		a.passworded = true
		return password, nil
	}), xssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
		a.passworded = true
		answers := make([]string, len(questions))
		for i, echo := range echos {
			if !echo { // a question whose answer shows is not for the password
				answers[i] = password
			}
		}
		return answers, nil
	}))
}

// observe is an [xssh.ClientAuthCallback] that notes what the server takes,
// and chooses nothing.
func (a *auth) observe(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	a.allowed = c.AllowedMethods
	return nil, nil
}

// offer adds a signer unless one for the same public key is there already.
func (a *auth) offer(what string, s xssh.Signer) {
	if s.PublicKey() == nil {
		return
	}
	if !slices.ContainsFunc(a.signers, func(o xssh.Signer) bool { return samePublic(o.PublicKey(), s.PublicKey()) }) {
		a.signers, a.offered = append(a.signers, s), append(a.offered, what)
	}
}

func samePublic(a, b xssh.PublicKey) bool {
	return a != nil && b != nil && string(a.Marshal()) == string(b.Marshal())
}

// offerFile offers a key file, with its certificates first.
func (a *auth) offerFile(id *identity, certificates []*xssh.Certificate) {
	if id.locked != nil {
		if !slices.ContainsFunc(a.signers, func(s xssh.Signer) bool { return samePublic(s.PublicKey(), id.public) }) {
			a.locked = append(a.locked, id.locked)
		}
		return
	}
	if id.signer == nil {
		return
	}
	for _, c := range certificates {
		if s, err := xssh.NewCertSigner(c, id.signer); err == nil { // else it is for another key
			a.offer(id.path+" with its certificate", s)
		}
	}
	a.offer(id.path, id.signer)
}

// agentKeys are the keys in the agent; none where there is no agent.
func (a *auth) agentKeys(ctx context.Context) []xssh.Signer {
	if a.hop.agent == "" {
		return nil
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", a.hop.agent)
	if err != nil { // as ssh does: an agent that is gone is no agent
		return nil
	}
	a.agent = c
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	signers, err := agent.NewClient(c).Signers()
	if err != nil {
		return nil
	}
	return signers
}

// offerAgent offers the agent's keys that are, or are not, those of the files.
func (a *auth) offerAgent(signers []xssh.Signer, named bool) {
	for _, s := range signers {
		is := slices.ContainsFunc(a.identity, func(id *identity) bool { return samePublic(id.public, s.PublicKey()) })
		if is == named {
			a.offer("the agent's "+xssh.FingerprintSHA256(s.PublicKey()), s)
		}
	}
}

// identity is a key file. Of the halves, what could not be read is nil.
type identity struct {
	path   string
	public xssh.PublicKey
	signer xssh.Signer
	locked *lockedKey
}

// readIdentity reads a key file, or the public half alone; nil when there is
// nothing readable, as ssh passes over files that are missing or no keys.
func readIdentity(path string, secrets Secrets) *identity {
	text, err := os.ReadFile(path)
	if err != nil {
		return publicOnly(path, path+".pub")
	}
	signer, err := xssh.ParsePrivateKey(text)
	if err == nil {
		return &identity{path: path, public: signer.PublicKey(), signer: signer}
	}
	missing, ok := errors.AsType[*xssh.PassphraseMissingError](err)
	if !ok {
		return publicOnly(path, path)
	}
	wrong := false
	if pass, ok := secrets.Passphrases[path]; ok {
		if signer, err = xssh.ParsePrivateKeyWithPassphrase(text, []byte(pass)); err == nil {
			return &identity{path: path, public: signer.PublicKey(), signer: signer}
		}
		wrong = true
	}
	public := missing.PublicKey
	if public == nil { // the older formats hide it
		if id := publicOnly(path, path+".pub"); id != nil {
			public = id.public
		}
	}
	return &identity{path: path, public: public, locked: &lockedKey{path: path, public: public, unseen: public == nil, wrong: wrong}}
}

// publicOnly reads a public key; its private half may be in the agent.
func publicOnly(name, path string) *identity {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	public, _, _, _, err := xssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return &identity{path: name, public: public}
}

// readCertificates reads the certificates that go with hop's key files.
func readCertificates(hop Hop) (all []*xssh.Certificate) {
	files := slices.Clone(hop.certificates)
	for _, f := range hop.identities {
		files = append(files, strings.TrimSuffix(f, ".pub")+"-cert.pub")
	}
	for _, f := range files {
		id := publicOnly(f, f)
		if id == nil {
			continue
		}
		if c, ok := id.public.(*xssh.Certificate); ok {
			all = append(all, c)
		}
	}
	return all
}

// lockedKey offers the public half of a key whose private half wants a
// passphrase, so that a person is asked only for a key that would be taken.
type lockedKey struct {
	path   string
	public xssh.PublicKey
	unseen bool // the public half is not known either
	wrong  bool // the passphrase given does not fit
	wanted bool // the server would take it
}

func (l *lockedKey) PublicKey() xssh.PublicKey { return l.public }

func (l *lockedKey) Sign(_ io.Reader, _ []byte) (*xssh.Signature, error) {
	l.wanted = true
	return nil, &NeedsPassphrase{Path: l.path, Wrong: l.wrong}
}

func (l *lockedKey) SignWithAlgorithm(_ io.Reader, data []byte, _ string) (*xssh.Signature, error) {
	return l.Sign(rand.Reader, data)
}
