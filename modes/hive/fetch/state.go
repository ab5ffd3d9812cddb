package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
)

// stateSuffix is what a file's state is called, after the file.
const stateSuffix = ".state"

// beingWritten is what a state is called, after the file, until it is whole.
const beingWritten = ".new" + stateSuffix

// state is what is known of a file that has not come whole. It lies beside it.
type state struct {
	URL       string `json:"url"`
	Size      int64  `json:"size_bytes"`
	Validator string `json:"validator"` // strong ETag or Last-Modified: tells that the file is still the same
	Have      []span `json:"have"`
	SHA256    string `json:"sha256,omitempty"` // of the whole, when it has come
	Expect    string `json:"expect,omitempty"` // the sum that it should have, where that is known
	Boot      string `json:"boot"`             // of the machine: what was written may be lost with it
}

// begin is the state of a file of which nothing is there.
func begin(what File) state {
	return state{URL: what.URL, Size: what.Size, Expect: what.SHA256, Boot: boot()}
}

// IsState says whether name is that of a file in which this package keeps how
// far a download has come.
func IsState(name string) bool { return strings.HasSuffix(name, stateSuffix) }

// OfState is the file to which the state called name belongs, or "".
func OfState(name string) string {
	if strings.HasSuffix(name, beingWritten) {
		return ""
	}
	return strings.TrimSuffix(name, stateSuffix)
}

// readState is the state of the file at path, if it can be used to go on.
func readState(path string, what File) (state, bool) {
	var s state
	text, err := os.ReadFile(path + stateSuffix)
	if err != nil || json.Unmarshal(text, &s) != nil || s.Size < 0 {
		return state{}, false
	}
	if s.URL != what.URL { // the same file from elsewhere goes on, as the sum will tell
		if what.SHA256 == "" || s.Expect != what.SHA256 {
			return state{}, false
		}
		s.URL, s.Validator = what.URL, ""
	}
	if sum := cmp.Or(s.SHA256, s.Expect); what.SHA256 != "" && sum != "" && sum != what.SHA256 {
		return state{}, false // there is another file now
	}
	info, err := os.Stat(path)
	if err != nil || what.Size >= 0 && what.Size != s.Size {
		return state{}, false
	}
	for _, x := range s.Have {
		if x.From < 0 || x.To <= x.From || x.To > min(s.Size, info.Size()) {
			return state{}, false
		}
	}
	// After a power cut only a sum can tell whether the bytes are the right ones.
	return s, s.Boot == boot() || what.SHA256 != ""
}

// Have is how many bytes of what are at path already and can be gone on with.
func Have(path string, what File) (n int64) {
	s, ok := readState(path, what)
	for _, x := range s.Have {
		n += x.To - x.From
	}
	if !ok {
		return 0
	}
	return n
}

// TellHere narrates that n bytes of what is to come are there, if any are.
func TellHere(ctx context.Context, n int64) {
	if n > 0 {
		ops.Narrate(ctx, "model_resume", "%s of it are here already: going on from there", humanize.IBytes(uint64(n)))
	}
}

// Begun is how many bytes of the file at path have come, and of how many; zeros
// where nothing is known of it.
func Begun(path string) (have, size int64) {
	var s state
	text, err := os.ReadFile(path + stateSuffix)
	if err != nil || json.Unmarshal(text, &s) != nil {
		return 0, 0
	}
	for _, x := range s.Have {
		have += max(0, x.To-x.From)
	}
	return have, s.Size
}

// Origin is where the file at path comes from, and the SHA-256 that it should have,
// in hex; both are "" where nothing is known of it.
func Origin(path string) (from, sha256 string) {
	var s state
	text, err := os.ReadFile(path + stateSuffix)
	if err != nil || json.Unmarshal(text, &s) != nil {
		return "", ""
	}
	return s.URL, s.Expect
}

// write keeps the state. It needs no sync: a state that is lost costs the
// download, a wrong one would be told by Boot.
func (s state) write(path string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := path + beingWritten
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("keep how far the download is: %w", err)
	}
	if err := os.Rename(temp, path+stateSuffix); err != nil {
		return fmt.Errorf("keep how far the download is: %w", err)
	}
	return nil
}

// Discard removes the file at path and what is known of it.
func Discard(path string) error {
	var errs []error
	for _, name := range []string{path, path + stateSuffix, path + beingWritten} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// boot names this run of the machine, or is "" where nothing tells.
func boot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
