package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
)

// loadReadable reads known hosts but for the lines that are none, which ssh
// passes over and the library refuses together with the whole file. A line that
// revokes a key is never passed over. It reads copies, with the other lines
// empty so that numbers stay; origin has the file behind each copy.
func loadReadable(files []string) (db *knownhosts.HostKeyDB, origin map[string]string, err error) {
	dir, err := os.MkdirTemp("", "rbee-hosts-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a copy: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	origin = map[string]string{}
	var copies []string
	for i, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, nil, err
		}
		if text, err = onlyReadable(text); err != nil {
			return nil, nil, fmt.Errorf("%s:%w", f, err)
		}
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, nil, fmt.Errorf("make a copy: %w", err)
		}
		copies, origin[name] = append(copies, name), f
	}
	db, err = knownhosts.NewDB(copies...)
	return db, origin, err
}

// onlyReadable empties the lines that cannot be read.
func onlyReadable(text []byte) ([]byte, error) {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		_, _, _, _, _, err := xssh.ParseKnownHosts(line)
		if err == nil {
			continue
		}
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("@revoked")) {
			return nil, fmt.Errorf("%d: a revoked key that cannot be read: %w", i+1, err)
		}
		lines[i] = nil
	}
	return bytes.Join(lines, []byte("\n")), nil
}
