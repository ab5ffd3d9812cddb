package hive

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/hive/engines"
	"rbee.dev/rbee/ops"
)

// releasesEnv names, in the environment, where engine_install takes releases of
// llama.cpp from, in place of llama.cpp's own.
const releasesEnv = "RBEE_LLAMACPP_RELEASES"

// EngineList lists the programs that workers can run models on: the one that
// RBEE_LLAMA_SERVER names, those installed by rbee, those found; and the engines
// that need none.
func (h *Hive) EngineList(ctx context.Context, _ ops.EngineList) (ops.Engines, error) {
	used, _ := h.llamaServer()
	var list []ops.Engine
	add := func(id string, origin ops.EngineOrigin, path string) *ops.Engine {
		list = append(list, ops.Engine{ID: id, HiveID: h.Name, Name: llamaCpp, Origin: origin, Path: path, Used: path == used && path != ""})
		return &list[len(list)-1]
	}
	if path := os.Getenv(llamacpp.PathEnv); path != "" && path != llamacpp.None {
		if found, err := llamacpp.Find(path); err == nil {
			path = found
		}
		h.describe(ctx, add("named", ops.EngineNamed, path))
	}
	for _, i := range h.installed.List() {
		e := add(i.ID, ops.EngineInstalled, i.Program)
		e.Accelerators, e.Size, e.InstalledAt = i.Accelerator, i.Size, &i.At
		h.describe(ctx, e)
	}
	list = append(list, h.unfinishedEngines()...)
	for n, path := range llamacpp.Installed() {
		id := "path"
		if n > 0 {
			id = fmt.Sprintf("path-%d", n+1)
		}
		h.describe(ctx, add(id, ops.EngineFound, path))
	}
	choice, _, err := h.autoEngine(ops.WithSink(ctx, nil)) // the list itself tells of one that cannot be used
	if err != nil {
		choice = builtin
	}
	for i := range list {
		list[i].Default = list[i].Used && choice == llamaCpp
	}
	return ops.Engines{Engines: append(list,
		ops.Engine{
			ID: builtin, HiveID: h.Name, Name: builtin, Version: daemon.Version, Accelerators: "cpu", Origin: ops.EngineBuiltIn, Path: h.Binary,
			Used: true, Default: choice == builtin,
		},
		ops.Engine{ID: command, HiveID: h.Name, Name: command, Origin: ops.EngineCommand, Used: true},
	)}, nil
}

// unfinishedEngines are those that have come in part.
func (h *Hive) unfinishedEngines() (list []ops.Engine) {
	on := ""
	if h.Name != ops.LocalHive {
		on = " --hive " + h.Name
	}
	for _, u := range h.installed.Unfinished() {
		if _, err := h.installed.Get(u.ID); err == nil {
			continue // another one of that name is what its id means
		}
		e := ops.Engine{ID: u.ID, HiveID: h.Name, Name: llamaCpp, Accelerators: u.Accelerator, Origin: ops.EngineInstalled, Path: u.Folder, Size: u.Have}
		line := "rbee engine install" + on
		if u.Tag != "" {
			line += " " + u.Tag + " --accelerator " + u.Accelerator
		}
		if u.From != "" {
			line += " --from " + shellescape.Quote(u.From)
		}
		if u.SHA256 != "" {
			line += " --sha256 " + u.SHA256
		}
		if u.Underway {
			e.Error, e.Hint = "it is being installed, "+of(u.Have, u.Size)+" have come", "`rbee job list` shows the job that does so"
		} else {
			e.Error = "it has come in part only: " + of(u.Have, u.Size)
			e.Hint = fmt.Sprintf("%s goes on from there, `rbee engine remove%s %s` removes it", typed(line), on, u.ID)
		}
		list = append(list, e)
	}
	return list
}

// describe asks a program what it is.
func (h *Hive) describe(ctx context.Context, e *ops.Engine) {
	version, err := h.programs.ask(ctx, e.Path)
	e.Version = version.String()
	if err != nil {
		e.Error, e.Hint = ops.AsError(err).Message, ops.AsError(err).Hint
		return
	}
	if e.Accelerators == "" {
		e.Accelerators = h.programs.accelerators(ctx, e.Path)
	}
}

// EngineInstall brings a release of llama.cpp, and makes it the one that new
// workers run.
func (h *Hive) EngineInstall(ctx context.Context, o ops.EngineInstall) (ops.Engine, error) {
	from := o.From
	if from == "" {
		from = h.environment.get(releasesEnv)
	}
	got, err := h.installed.Install(ctx, engines.Wanted{
		Version: o.Version, Accelerator: o.Accelerator, From: from, SHA256: o.Checksum, Machine: h.archiveMachine(), Fetch: h.models.fetch,
	})
	if err != nil {
		return ops.Engine{}, err
	}
	switch used, err := h.llamaServer(); {
	case err != nil:
		ops.Warn(ctx, "engine_named", "no worker will run it while %s is %s for hive %s", llamacpp.PathEnv, os.Getenv(llamacpp.PathEnv), h.Name)
	case used != got.Program:
		ops.Warn(ctx, "engine_named", "new workers go on running %s, which %s names", used, llamacpp.PathEnv)
	}
	list, err := h.EngineList(ctx, ops.EngineList{})
	for _, e := range list.Engines {
		if e.ID == got.ID {
			return e, nil
		}
	}
	return ops.Engine{}, ops.Errorf(ops.CodeInternal, "the engine %s was installed and is gone again: %w", got.ID, err)
}

// archiveMachine is what this machine is for those who choose an archive.
func (h *Hive) archiveMachine() engines.Machine {
	m := engines.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH}
	for _, d := range h.machine.list() {
		m.Kinds = append(m.Kinds, d.Kind)
		if d.Kind == "cuda" {
			m.Driver = d.DriverVersion
		}
	}
	_, err := os.Stat("/opt/rocm")
	m.ROCm = err == nil
	return m
}

// EngineRemove deletes a release that no worker runs, or what has come of one.
func (h *Hive) EngineRemove(ctx context.Context, o ops.EngineRemove) (ops.EngineRemoved, error) {
	i, err := h.installed.Get(o.ID)
	if err != nil {
		freed, ok, err := h.installed.Forget(o.ID)
		if ok || err != nil {
			return ops.EngineRemoved{ID: o.ID, HiveID: h.Name, Freed: freed}, err
		}
		return ops.EngineRemoved{}, h.missingEngine(ctx, o.ID)
	}
	for _, w := range h.fleet.list() {
		if w.State != ops.WorkerFailed && h.installed.Holds(i.ID, w.Program) {
			return ops.EngineRemoved{}, ops.Errorf(ops.CodeConflict, "worker %s runs the engine %s", w.ID, i.ID).
				WithHint("`rbee worker delete %s%s` ends it", w.ID, ops.HiveFlag(h.Name))
		}
	}
	if err := h.installed.Remove(i.ID); err != nil {
		return ops.EngineRemoved{}, err
	}
	return ops.EngineRemoved{ID: i.ID, HiveID: h.Name, Freed: i.Size}, nil
}

// foreignEngine says that an engine is there which rbee has not installed.
func foreignEngine(e ops.Engine) error {
	const installed = "`rbee engine install` brings one that new workers run in its place"
	switch e.Origin {
	case ops.EngineFound:
		return ops.Errorf(ops.CodeConflict, "the engine %s of hive %s is %s, which rbee found there and has not installed", e.ID, e.HiveID, e.Path).
			WithHint("remove it as it came, by the system's packages or by hand; " + installed)
	case ops.EngineNamed:
		return ops.Errorf(ops.CodeConflict, "the engine %s of hive %s is %s, which %s names and rbee has not installed", e.ID, e.HiveID, e.Path, llamacpp.PathEnv).
			WithHint("unset %s where the hive runs; then "+installed, llamacpp.PathEnv)
	}
	return ops.Errorf(ops.CodeConflict, "the engine %s is part of rbee and cannot be removed", e.ID).WithHint("%s", installed)
}

// missingEngine says that id is no engine that can be removed.
func (h *Hive) missingEngine(ctx context.Context, id string) error {
	list, err := h.EngineList(ctx, ops.EngineList{})
	if i := slices.IndexFunc(list.Engines, func(e ops.Engine) bool { return e.ID == id && e.Origin != ops.EngineInstalled }); err == nil && i >= 0 {
		return foreignEngine(list.Engines[i])
	}
	var ids []string
	for _, i := range h.installed.List() {
		ids = append(ids, i.ID)
	}
	e := ops.Errorf(ops.CodeNotFound, "hive %s has installed no engine %q", h.Name, id)
	switch near := ops.Nearest(id, ids); {
	case near != "":
		return e.WithHint("did you mean %q? `rbee engine list` shows the engines there are", near)
	case len(ids) > 0:
		return e.WithHint("it has: %s", strings.Join(ids, ", "))
	}
	return e.WithHint("only what `rbee engine install` brought can be removed; `rbee engine list` shows the engines there are")
}
