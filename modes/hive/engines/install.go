package engines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// Wanted says which release to install.
type Wanted struct {
	Version     string // b11669, v0.7.0, or "" for the latest
	Accelerator string // "" takes what suits the machine
	From        string // URL of releases, of a mirror, or of one archive; "" is [Releases]
	SHA256      string // of the archive, in hex, or ""
	Machine     Machine
	Fetch       fetch.Options
}

// Install brings a release into the store and makes it the one that was
// installed last. One that is there already is not downloaded again. Nothing
// half-done stays under a release's name; an archive that was cut is gone on
// with the next time.
func (s *Store) Install(ctx context.Context, w Wanted) (Installed, error) {
	f := fetch.New(w.Fetch)
	defer f.Close()
	from := ops.LowerScheme(strings.TrimSuffix(w.From, "/"))
	if from == "" {
		from = Releases
	}
	o, a, err := find(ctx, source{f, from}, w)
	if err != nil {
		return Installed{}, err
	}
	end, err := s.take(ctx, a.id())
	if err != nil {
		return Installed{}, err
	}
	defer end()
	if old, err := s.Get(a.id()); err == nil && (o.sums[a.name] == "" || old.SHA256 == o.sums[a.name]) && (w.SHA256 == "" || strings.EqualFold(old.SHA256, w.SHA256)) {
		ops.Narrate(ctx, "engine_present", "%s is here already", old.ID)
		if err := s.touch(old.ID); err != nil {
			return Installed{}, err
		}
		return s.Get(old.ID)
	}
	if err := s.bring(ctx, f, o, a, w.SHA256); err != nil {
		return Installed{}, fetch.NoRoom(err, "the engine "+a.id(), s.dir)
	}
	ops.Narrate(ctx, "engine_ready", "%s is installed", a.id())
	return s.Get(a.id())
}

// find finds the archive that is wanted, and what is offered beside it.
func find(ctx context.Context, s source, w Wanted) (o offer, a asset, err error) {
	o, a, single := alone(s.base, w.SHA256)
	if !single {
		if o, err = s.find(ctx, w.Version); err != nil {
			return o, a, err
		}
	}
	if a.called == "" {
		a, err = pick(ctx, o, w, single)
	}
	return o, a, err
}

// pick chooses among what a release offers, and says why.
func pick(ctx context.Context, o offer, w Wanted, single bool) (asset, error) {
	fitting := w.Machine.fitting(o.names())
	if len(fitting) == 0 {
		return asset{}, ops.Errorf(ops.CodeUnsupported, "llama.cpp's release %s has nothing for %s on %s", o.tag, w.Machine.OS, w.Machine.Arch).
			WithHint("build llama.cpp there, and see that its %s is on PATH or %s names it", llamacpp.Name, llamacpp.PathEnv)
	}
	there := strings.Join(slices.Sorted(maps.Keys(fitting)), ", ")
	if w.Accelerator != "" || single {
		for kind, a := range fitting {
			if single && w.Accelerator == "" || kind == w.Accelerator {
				return a, nil
			}
		}
		e := ops.Errorf(ops.CodeUnsupported, "llama.cpp's release %s has no archive with %s for %s on %s", o.tag, w.Accelerator, w.Machine.OS, w.Machine.Arch).
			WithHint("it has: %s", there)
		e.Field = "accelerator"
		return asset{}, e
	}
	order, why := w.Machine.preferred()
	for _, kind := range order {
		a, ok := fitting[kind]
		if !ok || kind == "cuda" && !w.Machine.runs(a) {
			continue
		}
		if kind == "cpu" && order[0] != kind {
			ops.Warn(ctx, "engine_choose", "taking %s, which leaves the card unused: %s, and of the release nothing else runs here (there are: %s)", a.id(), why, there)
		} else {
			ops.Narrate(ctx, "engine_choose", "taking %s for this machine, since %s (there are: %s)", a.id(), why, there)
		}
		return a, nil
	}
	return asset{}, ops.Errorf(ops.CodeUnsupported, "llama.cpp's release %s has only: %s", o.tag, there).WithHint("--accelerator takes one of them")
}

// bring downloads, checks, unpacks and tries a release, and only then gives it
// its name.
func (s *Store) bring(ctx context.Context, f *fetch.Fetcher, o offer, a asset, sum string) error {
	names := []string{a.name}
	if c := a.companion(o.names()); c != "" {
		names = append(names, c)
	}
	temp := filepath.Join(s.dir, unpacking+a.id())
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o700)); err != nil {
		return fmt.Errorf("make a folder for the engine: %w", err)
	}
	s.have.Store(0)
	s.arrives(a.id())
	defer s.arrives("")
	defer os.RemoveAll(temp) //nolint:errcheck // after the rename there is nothing; else the next start clears it
	m := manifest{Tag: a.tag, Accelerator: a.accelerator, Source: fetch.Shown(o.urls[a.name])}
	for i, name := range names {
		want := o.sums[name]
		if i == 0 && sum != "" {
			want = strings.ToLower(sum)
		}
		got, err := s.download(ctx, f, o, name, want)
		if i == 0 && sum != "" && errors.Is(err, fetch.ErrSum) {
			err = ops.AsError(err).WithHint("is the sum right that was given with --sha256? If it is, install it again; if this happens again, the server or a proxy on the way changes the file")
		}
		if err != nil {
			return err
		}
		folder := temp
		if i == 0 {
			m.SHA256 = got
		} else {
			folder = filepath.Join(temp, filepath.Dir(m.Program)) // libraries lie beside the program
		}
		ops.Narrate(ctx, "engine_unpack", "unpacking %s", name)
		err = unpack(ctx, s.archive(name), folder, i > 0, mostUnpacked)
		if err == nil {
			m.Program, m.Size, err = survey(temp)
		}
		if err != nil {
			return errors.Join(o.damaged(ctx, name, err), fetch.Discard(s.archive(name)))
		}
	}
	err := s.settle(ctx, temp, o, a, m)
	for _, name := range names {
		if failed := fetch.Discard(s.archive(name)); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// archive is where an archive arrives.
func (s *Store) archive(name string) string { return filepath.Join(s.dir, partial+name) }

// download brings an archive, and refuses one that nothing vouches for.
func (s *Store) download(ctx context.Context, f *fetch.Fetcher, o offer, name, want string) (sum string, err error) {
	where := fetch.Shown(o.urls[name])
	if want == "" {
		e := ops.Errorf(ops.CodeDenied, "nothing tells what the SHA-256 of %s must be, so it is not used", where).
			WithHint("give it with --sha256, from a place that you trust; or take a newer release: GitHub tells the sums of those since June 2025")
		e.Field = "checksum"
		return "", e
	}
	begins := "\x1f\x8b" // gzip (RFC 1952)
	if strings.HasSuffix(name, ".zip") {
		begins = "PK\x03\x04"
	}
	file := fetch.File{URL: o.urls[name], Size: o.size[name], SHA256: want, Begins: begins, Kind: "release archive", Access: access, Away: away, Unpacks: true}
	ops.Narrate(ctx, "engine_download", "bringing %s", where)
	fetch.TellHere(ctx, fetch.Have(s.archive(name), file))
	tell := newTeller(ctx)
	got, err := f.Fetch(ctx, file, s.archive(name), func(done, total int64) {
		s.total.Store(total)
		s.have.Store(done)
		tell.seen(done, total)
	})
	if err != nil {
		if have, _ := fetch.Begun(s.archive(name)); have > 0 && !errors.Is(err, ops.ErrDetached) {
			ops.Narrate(ctx, "engine_kept", "%s of it are kept for a week: the same command goes on from there, unless the file has changed by then, and `rbee engine list` says how to remove it", humanize.IBytes(uint64(have))) //nolint:gosec // not negative
		}
		return "", about(err)
	}
	tell.last(got.Size)
	return got.SHA256, nil
}

// settle tries the program and gives the release its name.
func (s *Store) settle(ctx context.Context, temp string, o offer, a asset, m manifest) error {
	program := filepath.Join(temp, m.Program)
	v, err := llamacpp.Ask(ctx, program)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil {
		return o.unfit(a, v, temp, err)
	}
	devices, err := llamacpp.Devices(ctx, program)
	switch {
	case a.called != "":
		m.Tag = v.String()
		if err == nil {
			m.Accelerator = llamacpp.Accelerators(devices)
		}
	case err == nil && len(devices) == 0 && a.accelerator != "cpu":
		ops.Warn(ctx, "engine_cpu", "%s finds nothing to compute on but the CPU: is the driver for %s installed?", a.id(), a.accelerator)
	}
	ops.Narrate(ctx, "engine_try", "%s runs here: it is %s, %s", llamacpp.Name, v, humanize.IBytes(uint64(m.Size))) //nolint:gosec // a size
	m.At = time.Now().UTC()
	if err := writeManifest(temp, m); err != nil {
		return err
	}
	final := filepath.Join(s.dir, a.id())
	if _, err := os.Lstat(final); err == nil { // damaged, or of another sum
		if err := s.Remove(a.id()); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, final); err != nil {
		return fmt.Errorf("name the engine: %w", err)
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("sync the engines' folder: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// teller tells a context's job how far a download is, not too often.
type teller struct {
	ctx  context.Context //nolint:containedctx // of the one download that it tells of
	next chan time.Time
}

// tellEvery is how often progress is told.
const tellEvery = 100 * time.Millisecond

func newTeller(ctx context.Context) *teller {
	t := &teller{ctx: ctx, next: make(chan time.Time, 1)}
	t.next <- time.Time{}
	return t
}

// seen is told by several goroutines.
func (t *teller) seen(done, total int64) {
	select {
	case next := <-t.next:
		if now := time.Now(); now.After(next) {
			next = now.Add(tellEvery)
			ops.Progress(t.ctx, "engine_download", done, max(0, total), "bytes")
		}
		t.next <- next
	default: // another one tells just now
	}
}

func (t *teller) last(size int64) { ops.Progress(t.ctx, "engine_download", size, size, "bytes") }
