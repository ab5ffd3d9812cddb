package hive

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// hiveScheme is the scheme of files on other hives: hive://NAME/MODEL/FILE.
const hiveScheme = "hive"

// tellWithin bounds how long the queen may take to tell of another hive.
const tellWithin = 30 * time.Second

// elsewhere is the plan for a model of another hive, as that one describes it.
func (m *models) elsewhere(ctx context.Context, ref string) (plan, error) {
	hive, id, _ := strings.Cut(strings.TrimPrefix(ref, ops.HiveScheme), "/")
	switch {
	case hive == "" || ops.CheckModelID(id) != nil:
		return plan{}, ops.Invalid("model", "must be hive:NAME/MODEL, got %q", ref)
	case hive == m.hive:
		return plan{}, ops.Invalid("model", "is on hive %s, which is this one", hive)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, tellWithin, ops.Errorf(ops.CodeUnavailable, "the queen does not tell of hive %s", hive).
		WithHint("models go from hive to hive through her: `rbee model copy`"))
	defer cancel()
	var list ops.ModelFiles
	if err := m.wants.tell(bounded, ops.Want{HiveID: hive, Model: id}, &list); err != nil {
		return plan{}, err
	}
	p := plan{source: list.Source, name: id, hive: hive, marks: make([]string, len(list.Files))}
	copy(p.marks, list.Marks)
	if !strings.HasPrefix(p.source, fetch.HubPrefix) && !strings.Contains(p.source, "://") && p.source != ops.BuiltInSource {
		p.source = ops.HiveScheme + hive + "/" + id // a path means nothing here
		clear(p.marks)
	}
	for _, f := range list.Files {
		if filepath.Base(f.Name) != f.Name || !strings.EqualFold(filepath.Ext(f.Name), ".gguf") || f.Size < 0 {
			return plan{}, ops.Errorf(ops.CodeInternal, "hive %s tells of a file %q of %d bytes", hive, f.Name, f.Size)
		}
		at := url.URL{Scheme: hiveScheme, Host: hive, Path: "/" + id + "/" + f.Name}
		p.files = append(p.files, fetch.File{URL: at.String(), Size: f.Size, SHA256: f.SHA256, Begins: magic})
		p.names = append(p.names, f.Name)
	}
	if len(p.files) == 0 {
		return plan{}, ops.Errorf(ops.CodeInternal, "hive %s tells of no file of %s", hive, id)
	}
	return p, nil
}

// fetchChecked fetches a file. Of one on another hive whose sum nobody knew, that
// hive computes the sum meanwhile, from its disk, and the two must be the same.
func (m *models) fetchChecked(ctx context.Context, f *fetch.Fetcher, file fetch.File, path string, seen func(done, total int64)) (fetch.Result, error) {
	at, err := url.Parse(file.URL)
	if err != nil || at.Scheme != hiveScheme {
		return f.Fetch(ctx, file, path, seen)
	}
	id, name, _ := strings.Cut(strings.TrimPrefix(at.Path, "/"), "/")
	want := ops.Want{HiveID: at.Host, Model: id, File: name, Sum: true}
	if file.SHA256 != "" {
		got, err := f.Fetch(ctx, file, path, seen)
		if errors.Is(err, fetch.ErrSum) {
			err = m.damagedThere(ctx, want, file.SHA256, err)
		}
		return got, err
	}
	summing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var there ops.FileSum
	told := make(chan error, 1)
	go func() {
		var err error
		there, err = m.sumThere(summing, want)
		told <- err
	}()
	got, err := f.Fetch(ctx, file, path, seen)
	if err != nil {
		cancel(err)
		<-told
		return got, err
	}
	if err := <-told; err != nil {
		return got, err
	}
	if there.SHA256 != got.SHA256 {
		wrong := ops.Errorf(ops.CodeUnavailable, "what came of %s is not what hive %s has: its SHA-256 is %s, and should be %s", name, at.Host, got.SHA256, there.SHA256).
			WithHint("copy it again")
		return got, also(wrong, fetch.Discard(path))
	}
	return got, nil
}

// damagedThere is the error of a file that came from another hive with a wrong sum,
// err: where the hive finds the same on its own disk, that says what to do there.
func (m *models) damagedThere(ctx context.Context, want ops.Want, sum string, err error) error {
	there, failed := m.sumThere(ctx, want)
	if failed != nil {
		return err // which is what matters
	}
	if there.SHA256 == sum {
		return ops.Errorf(ops.CodeUnavailable, "what came of %s is not what hive %s has: it was changed on the way", want.File, want.HiveID).WithHint("copy it again")
	}
	return ops.Errorf(ops.CodeUnavailable, "the model %s on hive %s is damaged: %s has changed on its disk since it came there, by its SHA-256", want.Model, want.HiveID, want.File).
		WithHint("`rbee model delete%s %s` removes it; then bring it there again from where it came", ops.HiveFlag(want.HiveID), want.Model)
}

// sumThere asks another hive for a file's sum, again where the way there breaks.
func (m *models) sumThere(ctx context.Context, want ops.Want) (ops.FileSum, error) {
	return backoff.Retry(ctx, func() (there ops.FileSum, err error) {
		err = m.wants.tell(ctx, want, &there)
		if err != nil && !fetch.Passes(err) {
			err = backoff.Permanent(err)
		}
		return there, err
	}, backoff.WithMaxElapsedTime(sumWithin))
}

// sumWithin is how long the way to another hive may be broken.
const sumWithin = 5 * time.Minute

// same reports whether the model called id has the very files that p would bring.
// Those of which no sum is known are not the same.
func (m *models) same(id string, p plan) bool {
	list, err := m.files(id)
	if err != nil || len(list.Files) != len(p.files) {
		return false
	}
	for i, f := range list.Files {
		if f.SHA256 == "" || f.SHA256 != p.files[i].SHA256 {
			return false
		}
	}
	return true
}
