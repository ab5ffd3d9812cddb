package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	xssh "golang.org/x/crypto/ssh"
)

// Home makes a folder like an account's, with an empty .ssh in it.
func Home(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}

// Write writes a file into the .ssh of home.
func Write(t testing.TB, home, name, text string) string {
	t.Helper()
	path := filepath.Join(home, ".ssh", name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// WriteKey makes an ed25519 key in the .ssh of home, locked unless passphrase
// is empty, and returns its public half.
func WriteKey(t testing.TB, home, name, passphrase string) xssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = xssh.MarshalPrivateKey(private, "")
	} else {
		block, err = xssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	Write(t, home, name, string(pem.EncodeToMemory(block)))
	key, err := xssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
