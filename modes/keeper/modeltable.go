package keeper

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/ops"
)

// models prints a row for each model, with the hives that have it. What has the
// same name and is not the same gets a row of its own.
func modelList(w io.Writer, r ops.Models) {
	if len(r.Models) == 0 && len(r.Silent) > 0 {
		noneKnown(w, "models", r.Silent)
		return
	}
	models(w, r.Models)
}

func models(w io.Writer, list []ops.Model) {
	if len(list) == 0 {
		row(w, "no models; `rbee model download` brings one")
		return
	}
	row(w, "MODEL", "SIZE", "MEMORY", "QUANTIZATION", "ARCHITECTURE", "CONTEXT", "HIVES", "NOTE")
	for _, same := range alike(list) {
		m := same[0]
		var hives []string
		for _, on := range same {
			hives = append(hives, on.HiveID)
		}
		notes := slices.Concat(
			noted(same, func(m ops.Model) string { return m.Error }),
			noted(same, func(m ops.Model) string { return m.Refused }),
		)
		if len(notes) == 0 && m.Source == ops.BuiltInSource {
			notes = []string{"built-in"}
		}
		notes = append(notes, noted(same, pinnedNote)...)
		if len(m.Aliases) > 0 {
			notes = append(notes, "also called "+strings.Join(m.Aliases, ", "))
		}
		context := ""
		if m.Context > 0 {
			context = strconv.Itoa(m.Context)
		}
		bytes := ""
		if m.Size > 0 {
			bytes = size(m.Size)
		}
		row(w, m.ID, bytes, memories(same), m.Quantization, m.Architecture, context, strings.Join(hives, ", "), strings.Join(notes, ", "))
	}
}

// noted is what there is to note about a model that several hives have, with the
// hives where it is not so of all.
func noted(same []ops.Model, note func(ops.Model) string) (notes []string) {
	of := map[string][]string{}
	for _, m := range same {
		text := note(m)
		if text != "" && len(of[text]) == 0 {
			notes = append(notes, text)
		}
		of[text] = append(of[text], m.HiveID)
	}
	for i, text := range notes {
		if len(of[text]) < len(same) {
			notes[i] += " on " + strings.Join(of[text], " and ")
		}
	}
	return notes
}

func pinnedNote(m ops.Model) string {
	if m.Pinned {
		return "pinned"
	}
	return ""
}

// memories is what a model that several hives have takes, from the least to the most.
func memories(same []ops.Model) string {
	var known []int64
	for _, m := range same {
		if m.Memory > 0 {
			known = append(known, m.Memory)
		}
	}
	if len(known) == 0 {
		return ""
	}
	least, most := size(slices.Min(known)), size(slices.Max(known))
	if least == most {
		return least
	}
	return least + " to " + most
}

// mostHints is how many hints are told about models that have the same fault.
const mostHints = 3

// hints tells, after a table, what to do about models that cannot be used.
func (k *Keeper) hints(list []ops.Model) {
	var faults []string // in the order of the list
	faulty := map[string][]ops.Model{}
	for _, m := range list {
		if m.Hint == "" {
			continue
		}
		fault := cmp.Or(m.Error, m.Refused)
		if len(faulty[fault]) == 0 {
			faults = append(faults, fault)
		}
		faulty[fault] = append(faulty[fault], m)
	}
	for _, fault := range faults {
		k.hint(faulty[fault])
	}
}

// hint tells what to do about models that have the same fault: once for those of
// which it is the same, and where it is another for each of many, of the first.
func (k *Keeper) hint(list []ops.Model) {
	var hints []string // in the order of the list
	of := map[string][]string{}
	for _, m := range list {
		if len(of[m.Hint]) == 0 {
			hints = append(hints, m.Hint)
		}
		if !slices.Contains(of[m.Hint], m.ID) {
			of[m.Hint] = append(of[m.Hint], m.ID)
		}
	}
	if len(hints) > mostHints {
		k.say("%s: %s; for the other %d with that note, `rbee model get NAME` tells the same", cell(list[0].ID), cell(list[0].Hint), len(list)-1)
		return
	}
	for _, hint := range hints {
		more := ""
		if n := len(of[hint]) - 1; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		k.say("%s%s: %s", cell(of[hint][0]), more, cell(hint))
	}
}

// alike puts those models together that are the same on several hives, as far as
// can be told, in the order of their names.
func alike(list []ops.Model) (groups [][]ops.Model) {
	for _, m := range list {
		i := slices.IndexFunc(groups, func(g []ops.Model) bool {
			of := g[0]
			return of.ID == m.ID && of.Size == m.Size && of.Quantization == m.Quantization && of.Error == m.Error &&
				(of.SHA256 == m.SHA256 || of.SHA256 == "" || m.SHA256 == "")
		})
		if i < 0 {
			groups = append(groups, []ops.Model{m})
			continue
		}
		groups[i] = append(groups[i], m)
	}
	slices.SortStableFunc(groups, func(a, b []ops.Model) int { return strings.Compare(a[0].ID, b[0].ID) })
	return groups
}
