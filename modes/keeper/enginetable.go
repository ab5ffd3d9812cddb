package keeper

import (
	"io"

	"rbee.dev/rbee/ops"
)

// engines lists engines; which of them a worker runs is in the column USE.
func engines(w io.Writer, r ops.Engines) {
	if len(r.Engines) == 0 {
		noneKnown(w, "engines", r.Silent)
		return
	}
	row(w, "ENGINE", "HIVE", "ID", "VERSION", "ON", "USE", "PROGRAM")
	for _, e := range r.Engines {
		program := e.Path
		switch {
		case e.Error != "":
			program = "cannot be used: " + e.Error
		case e.Origin == ops.EngineBuiltIn:
			program = "part of rbee"
		case e.Origin == ops.EngineCommand:
			program = "any server, by --command"
		}
		row(w, e.Name, e.HiveID, e.ID, e.Version, e.Accelerators, use(e), program)
	}
	if len(r.Silent) > 0 {
		row(w, "not all engines are known: "+doNotAnswer(r.Silent))
	}
}

// engineHints tells, after a table, what to do about engines that cannot be used.
func (k *Keeper) engineHints(list []ops.Engine) {
	for _, e := range list {
		if e.Hint != "" {
			k.say("%s: %s", cell(e.ID), cell(e.Hint))
		}
	}
}

// use says when an engine runs.
func use(e ops.Engine) string {
	switch {
	case e.Error != "":
		return ""
	case e.Default:
		return "default"
	case e.Used:
		return "--engine " + e.Name
	}
	return ""
}

func engine(w io.Writer, e ops.Engine) {
	pair(w, "engine", e.ID)
	pair(w, "hive", e.HiveID)
	pair(w, "cannot be used", e.Error)
	pair(w, "version", e.Version)
	pair(w, "computes on", e.Accelerators)
	pair(w, "use", use(e))
	if e.Size > 0 {
		pair(w, "size", size(e.Size))
	}
	if e.InstalledAt != nil {
		pair(w, "installed", when(*e.InstalledAt))
	}
	pair(w, "program", e.Path)
}
