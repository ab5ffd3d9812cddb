package engines

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/modes/hive/fetch"
)

// Bounds of what an archive may hold. The largest of llama.cpp's, those for
// CUDA and ROCm, unpack to some 2 GiB in a hundred files.
const (
	mostUnpacked = 16 << 30 // bytes
	mostEntries  = 10_000
)

// unpacker writes an archive's files into a folder that no name leads out of.
type unpacker struct {
	ctx     context.Context //nolint:containedctx // of the one call that it serves
	folder  string
	root    *os.Root
	flat    bool  // all files directly into the folder
	left    int64 // bytes that may still come
	entries int
}

// entry is one thing in an archive.
type entry struct {
	name string
	mode fs.FileMode
	size int64  // -1 where nobody says
	link string // where a symbolic link points to
	open func() (io.ReadCloser, error)
}

// unpack unpacks the archive at file, a .zip or a .tar.gz, into folder, which
// exists; flat drops the archive's own folders. most bounds the bytes. What was
// written until an error stays for the caller to remove.
func unpack(ctx context.Context, file, folder string, flat bool, most int64) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing is written by it
	u := &unpacker{ctx: ctx, folder: folder, root: root, flat: flat, left: most}
	if err := u.checkRoom(unpacked(file)); err != nil {
		return err
	}
	if strings.HasSuffix(file, ".zip") {
		err = u.zip(file)
	} else {
		err = u.tar(file)
	}
	return errors.Join(err, context.Cause(ctx))
}

func (u *unpacker) zip(file string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // it was only read
	for _, f := range r.File {
		e := entry{name: f.Name, mode: f.Mode(), size: int64(min(f.UncompressedSize64, 1<<62)), open: f.Open} //nolint:gosec // bounded
		if e.mode&fs.ModeSymlink != 0 {
			if e.link, err = linkIn(f); err != nil {
				return err
			}
		}
		if err := u.write(e); err != nil {
			return err
		}
	}
	return nil
}

// linkIn reads where a symbolic link in a zip file points to: it is its content.
func linkIn(f *zip.File) (string, error) {
	in, err := f.Open()
	if err != nil {
		return "", err
	}
	defer in.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(in, 4<<10))
	return string(text), err
}

func (u *unpacker) tar(file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	packed, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e := entry{
			name: h.Name, mode: h.FileInfo().Mode(), size: h.Size, link: h.Linkname,
			open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil },
		}
		switch h.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeLink:
			return fmt.Errorf("%q is a hard link, which no archive of llama.cpp has", h.Name)
		}
		if err := u.write(e); err != nil {
			return err
		}
	}
}

// write writes one entry.
func (u *unpacker) write(e entry) error {
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	if u.entries++; u.entries > mostEntries {
		return fmt.Errorf("it holds more than %d files", mostEntries)
	}
	name, err := u.place(e)
	if err != nil || name == "." {
		return err
	}
	if e.mode.IsDir() {
		if u.flat {
			return nil
		}
		return u.root.MkdirAll(name, 0o700)
	}
	if folder := path.Dir(name); folder != "." {
		if err := u.root.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	switch {
	case e.mode&fs.ModeSymlink != 0:
		return u.symlink(name, e)
	case e.mode.IsRegular():
		return u.file(name, e)
	}
	return fmt.Errorf("%q is neither a file nor a folder", e.name)
}

// place is where an entry belongs. A name that leads elsewhere is hostile:
// nothing of such an archive is used.
func (u *unpacker) place(e entry) (string, error) {
	name := path.Clean(strings.TrimSuffix(e.name, "/"))
	if strings.ContainsAny(e.name, "\\\x00") || !fs.ValidPath(name) || strings.Contains("/"+e.name+"/", "/../") {
		return "", fmt.Errorf("it holds %q, a name that leads out of it", e.name)
	}
	if u.flat {
		name = path.Base(name)
	}
	return name, nil
}

// symlink makes a link to something in the folder, as libraries have for their
// versions.
func (u *unpacker) symlink(name string, e entry) error {
	to := path.Join(path.Dir(name), e.link)
	if e.link == "" || path.IsAbs(e.link) || strings.ContainsAny(e.link, "\\\x00") || !fs.ValidPath(to) || u.flat && strings.Contains(e.link, "/") {
		return fmt.Errorf("it holds %q, a link to %q, which is outside", e.name, e.link)
	}
	return u.root.Symlink(e.link, name)
}

// checkRoom refuses so many bytes more, where they are too many for the disk or for an
// archive of llama.cpp's.
func (u *unpacker) checkRoom(size int64) error {
	if size > u.left {
		return fmt.Errorf("it unpacks to more than %s", humanize.IBytes(uint64(mostUnpacked)))
	}
	return fetch.CheckRoom(u.folder, size)
}

// file writes a file, with no more rights than its owner needs.
func (u *unpacker) file(name string, e entry) error {
	if err := u.checkRoom(e.size); err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if e.mode&0o111 != 0 {
		mode = 0o700
	}
	in, err := e.open()
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(&cancelled{u.ctx, in}, u.left+1))
	if u.left -= n; u.left < 0 && err == nil {
		err = fmt.Errorf("it unpacks to more than %s", humanize.IBytes(uint64(mostUnpacked)))
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// cancelled reads until its context ends.
type cancelled struct {
	ctx context.Context //nolint:containedctx // of the one copy that it serves
	in  io.Reader
}

// Read reads on.
func (c *cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.in.Read(p)
}
