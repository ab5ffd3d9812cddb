package install

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/ops"
)

// mostArchive bounds a release archive and the binary in it, in bytes.
const mostArchive = 256 << 20

// fetch gets the release for p: the archive rbee-VERSION-OS-ARCH.tar.gz with
// the file rbee in it, checked against SHA256SUMS beside it. It returns the path
// of the binary in the cache.
func (s Sources) fetch(ctx context.Context, p Platform) (string, error) {
	name := fmt.Sprintf("rbee-%s-%s-%s", s.Version, p.OS, p.Arch)
	base := strings.TrimSuffix(s.Releases, "/")
	ops.Narrate(ctx, "release_fetch", "fetching %s.tar.gz from %s", name, base)
	want, err := s.sum(ctx, base, name+".tar.gz")
	if err != nil {
		return "", err
	}
	archive, err := os.CreateTemp(s.Cache, ".release-*")
	if err != nil {
		return "", fmt.Errorf("keep the release: %w", err)
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	sum := sha256.New()
	if err := get(ctx, base+"/"+name+".tar.gz", io.MultiWriter(archive, sum)); err != nil {
		return "", err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return "", ops.Errorf(ops.CodeDenied, "the release %s has the SHA-256 %s, and SHA256SUMS says %s", name, got, want).
			WithHint("the archive is damaged or was exchanged: it is not used")
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	path := filepath.Join(s.Cache, name)
	if err := unpack(archive, path); err != nil {
		return "", fmt.Errorf("unpack the release %s: %w", name, err)
	}
	return path, nil
}

// sum reads the archive's sum from SHA256SUMS, lines as sha256sum writes them.
func (s Sources) sum(ctx context.Context, base, archive string) (string, error) {
	var text strings.Builder
	if err := get(ctx, base+"/SHA256SUMS", &text); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(strings.NewReader(text.String()))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 2 && strings.TrimPrefix(f[1], "*") == archive {
			return strings.ToLower(f[0]), nil
		}
	}
	return "", ops.Errorf(ops.CodeNotFound, "%s/SHA256SUMS does not name %s", base, archive).
		WithHint("the releases there have no such version or platform; --binary takes a file")
}

func get(ctx context.Context, url string, to io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ops.Invalid("releases", "%q is no URL: %w", url, err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return ops.Errorf(ops.CodeUnavailable, "fetch the release: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return ops.Errorf(ops.CodeUnavailable, "fetch the release: %s answers %s", url, answer.Status)
	}
	n, err := io.Copy(to, io.LimitReader(answer.Body, mostArchive+1))
	if err != nil {
		return ops.Errorf(ops.CodeUnavailable, "fetch the release: %w", err)
	}
	if n > mostArchive {
		return ops.Errorf(ops.CodeInvalid, "fetch the release: %s is over %d MB", url, mostArchive>>20)
	}
	return nil
}

// unpack writes the archive's file rbee to path.
func unpack(archive io.Reader, path string) error {
	packed, err := gzip.NewReader(archive)
	if err != nil {
		return err
	}
	for files := tar.NewReader(packed); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("there is no file rbee in it")
		}
		if err != nil {
			return err
		}
		if filepath.Base(h.Name) != "rbee" || h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Size > mostArchive {
			return fmt.Errorf("its file rbee is over %d MB", mostArchive>>20)
		}
		out, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o700), renameio.WithTempDir(filepath.Dir(path)))
		if err != nil {
			return err
		}
		defer out.Cleanup() //nolint:errcheck // after the rename there is nothing left to clean
		if _, err := io.CopyN(out, files, h.Size); err != nil {
			return err
		}
		return out.CloseAtomicallyReplace()
	}
}
