package hive

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// present answers a download of what the hive has already, as old. A source that
// holds something else by now is a conflict: what is here may be in use, and
// nobody has said that it should go.
func (m *models) present(ctx context.Context, f *fetch.Fetcher, old ops.Model, p plan) (ops.Model, error) {
	how := ""
	if old.Source == p.source {
		var err error
		if how, err = m.changed(ctx, f, old.ID, p); err != nil {
			return ops.Model{}, err
		}
	}
	if how != "" {
		return ops.Model{}, ops.Errorf(ops.CodeConflict, "the model %s is here already, and %s has changed since: %s", old.ID, p.source, how).
			WithHint("`%s` first, and the same command brings what is there now; with --name NAME it comes beside the old one", m.line("delete", old.ID))
	}
	ops.Narrate(ctx, "model_present", "the model %s is here already", old.ID)
	return old, nil
}

// changed says how what p would bring differs from the model called id, which came
// from the same source earlier; "" is that it does not, as far as can be told. The
// error is that of a context that ended.
func (m *models) changed(ctx context.Context, f *fetch.Fetcher, id string, p plan) (how string, err error) {
	about := m.manifest(id)
	if len(about.Files) == 0 || about.Source != p.source { // made by an older build, or by a person
		return "", nil
	}
	if n := max(len(p.paths), len(p.files)); n != len(about.Files) {
		return fmt.Sprintf("it is %d files there now, and was %d", n, len(about.Files)), nil
	}
	for i, had := range about.Files {
		stamp := about.stamp(i)
		if len(p.paths) > 0 {
			how, err = m.fileChanged(ctx, p.paths[i], had, stamp)
		} else {
			how = serverChanged(ctx, f, p.files[i], had, stamp)
		}
		if how != "" || err != nil || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return how, err
}

// fileChanged is changed for a file of this machine. One that is gone is no reason
// to refuse what is here.
func (m *models) fileChanged(ctx context.Context, path string, had ops.FileSum, stamp string) (how string, err error) {
	in, size, err := openFile(path)
	if err != nil {
		return "", nil //nolint:nilerr // see above
	}
	defer in.Close() //nolint:errcheck // it was only read
	if size != had.Size {
		return sizes(size, had.Size), nil
	}
	info, err := in.Stat()
	if err != nil || mtime(info) == stamp {
		return "", err
	}
	ops.Narrate(ctx, "model_check", "%s has been written since: looking whether it is the same", path)
	sum, err := m.sum(ctx, in, info)
	if err != nil || sum == had.SHA256 {
		return "", err
	}
	return "the file has other content now", nil
}

// serverChanged is changed for a file of a server, or of another hive: by its sum
// where that is told, else by its size and the server's own mark for a version.
func serverChanged(ctx context.Context, f *fetch.Fetcher, file fetch.File, had ops.FileSum, stamp string) string {
	mark := ""
	if file.SHA256 == "" && strings.HasPrefix(file.URL, "http") {
		var err error
		if file.Size, mark, err = f.Look(ctx, file); err != nil {
			ops.Warn(ctx, "model_check", "whether it is still the same there cannot be told: %v", err)
			return ""
		}
	}
	switch {
	case file.Size >= 0 && file.Size != had.Size:
		return sizes(file.Size, had.Size)
	case file.SHA256 != "" && file.SHA256 != had.SHA256:
		return "the file has other content now"
	case mark != "" && stamp != "" && mark != stamp:
		return "the server has another version of the file now"
	}
	return ""
}

func sizes(now, had int64) string {
	return fmt.Sprintf("the file has %d bytes now, and had %d", now, had)
}

// mtime is the stamp of a file of this machine.
func mtime(info os.FileInfo) string { return info.ModTime().UTC().Format(time.RFC3339Nano) }
