package queen

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/google/renameio/v2"
)

// token reads the bearer token of the queen's API from the file at path, and
// makes one where there is none. Whoever can read the file has full use of the
// queen, so only its owner may.
func token(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		if t := strings.TrimSpace(string(text)); t != "" {
			return t, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the queen's token: %w", err)
	}
	t := rand.Text()
	if err := renameio.WriteFile(path, []byte(t+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the queen's token: %w", err)
	}
	return t, nil
}
