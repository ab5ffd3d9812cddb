package daemon

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/ops"
)

// Token reads the bearer token of a daemon's API, the one of whose, from the file at
// path, and makes one where there is none. Whoever can read the file has full use of
// the daemon, so only its owner may. What no header can carry is refused: nobody could
// show it.
func Token(path, whose string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the %s's token: %w", whose, err)
	}
	token := strings.TrimSpace(string(text))
	if strings.ContainsFunc(token, unicode.IsControl) {
		return "", ops.Errorf(ops.CodeConflict, "the file of the %s's token holds none: there are line ends or control characters in it: %s", whose, path).
			WithHint("remove the file, and another token is made")
	}
	if token != "" {
		return token, nil
	}
	_ = os.Chmod(path, 0o600) // an empty file that is there would leave its mode
	token = rand.Text()
	if err := renameio.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the %s's token: %w", whose, err)
	}
	return token, nil
}

// TokenSum is what tells whether a token is the one that a daemon has read: the file may
// hold another by now.
func TokenSum(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
