package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	xssh "golang.org/x/crypto/ssh"
)

// Key is a private key of rbee's own. It is never printed.
type Key struct{ signer xssh.Signer }

// NewKey makes an ed25519 key.
func NewKey() (*Key, error) {
	text, err := newKeyFile()
	if err != nil {
		return nil, err
	}
	return parseKey(text)
}

// newKeyFile is a new key as OpenSSH writes it to a file.
func newKeyFile() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	block, err := xssh.MarshalPrivateKey(private, "rbee")
	if err != nil {
		return nil, fmt.Errorf("write a key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

func parseKey(text []byte) (*Key, error) {
	signer, err := xssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	return &Key{signer: signer}, nil
}

// LoadOrCreateKey reads the key at path, or makes one there that only the
// owner can read. Of two processes that do so at once, both get the same key.
// The folder must exist.
func LoadOrCreateKey(path string) (*Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKey(path); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// createKey writes a new key to path unless there is one by then.
func createKey(path string) error {
	text, err := newKeyFile()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return fmt.Errorf("make the key %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the key %s: %w", path, err)
	}
	// A link, unlike a rename, leaves a key that is there already.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("put the key %s in place: %w", path, err)
	}
	return nil
}

// AuthorizedKeyLine is the public half as a line of authorized_keys (sshd(8)),
// without a newline. Control characters in the comment become spaces.
func (k Key) AuthorizedKeyLine(comment string) string {
	line := strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k.signer.PublicKey())))
	comment = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, comment))
	if comment == "" {
		return line
	}
	return line + " " + comment
}

// Fingerprint is the public half's, as "SHA256:…".
func (k Key) Fingerprint() string { return xssh.FingerprintSHA256(k.signer.PublicKey()) }

// String is the fingerprint.
func (k Key) String() string { return "key " + k.Fingerprint() }

// GoString is String, so that %#v does not show the private half.
func (k Key) GoString() string { return k.String() }
