package hive

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// processor is the device that every machine has.
const processor = "cpu"

// spot is where a worker could go: a device, or several, and the memory that it
// would take of.
type spot struct {
	device string
	why    string // says why it is chosen, for a person; "" for what is not worth a word
	pools  []string
	// spare is what must stay free in each pool, in bytes.
	spare uint64
}

// spareOfCard is what llama.cpp leaves free of a card when it chooses by itself
// how much to put there (--fit-target).
const spareOfCard = 1 << 30

// shares reports whether a worker on the device takes of the same memory.
func (s spot) shares(device string) bool {
	ids := strings.Split(device, ",")
	return slices.ContainsFunc(s.pools, func(pool string) bool {
		return slices.Contains(ids, pool) || pool == processor && !strings.Contains(device, ":")
	})
}

// spots are the places for a worker, the best first; there is always one.
func (h *Hive) spots(ctx context.Context, w want) ([]spot, error) {
	switch {
	case len(w.parts) > 0: // llama.cpp divides it by itself
		return []spot{{device: w.device, pools: []string{processor}}}, nil
	case w.engine == builtin || w.device == processor:
		return []spot{{device: processor, pools: []string{processor}}}, nil
	}
	if err := h.machine.known(ctx); err != nil {
		return nil, err
	}
	gpus := h.machine.gpus()
	if len(gpus) > 0 {
		h.machine.lookAtCards(ctx)
		gpus = h.machine.gpus()
	}
	if !w.anyDevice {
		gpus = slices.DeleteFunc(gpus, func(d ops.Device) bool { return !slices.Contains(strings.Split(w.device, ","), d.ID) })
	}
	if len(gpus) > 0 {
		named := gpus[0]
		called := h.called(ctx, w.program)
		gpus = slices.DeleteFunc(gpus, func(d ops.Device) bool { return called[d.ID] == "" })
		if len(gpus) == 0 && !w.anyDevice {
			return nil, h.unusable(named, h.programs.accelerators(ctx, w.program))
		}
	}
	if w.anyDevice {
		gpus = ops.Accelerators(gpus)
	}
	if len(gpus) == 0 {
		return []spot{h.withoutGPU(w)}, nil
	}
	return h.gpuSpots(gpus), nil
}

// cardsFor are the cards with memory of their own that an engine computes on. unused
// tells of the others, and why, or is "".
func (h *Hive) cardsFor(ctx context.Context, engine, program string) (used []ops.Device, unused string) {
	cards := slices.DeleteFunc(h.machine.gpus(), func(d ops.Device) bool { return d.SharesMemory })
	if len(cards) == 0 {
		return nil, ""
	}
	var called map[string]string
	why := "the builtin engine computes on the CPU"
	if engine != builtin {
		called = h.called(ctx, program)
		why = "the llama-server that is installed is for " + h.programs.accelerators(ctx, program)
	}
	var others []string
	for _, d := range cards {
		if called[d.ID] != "" {
			used = append(used, d)
		} else {
			others = append(others, fmt.Sprintf("%s (%s)", d.ID, d.Name))
		}
	}
	switch len(others) {
	case 0:
		return used, ""
	case 1:
		return used, others[0] + " is not used: " + why
	}
	return used, listed(others) + " are not used: " + why
}

// withoutGPU is the place on a machine without a GPU that the hive knows. One
// that it does not know, as of a maker that only llama.cpp's Vulkan is for, is
// left to the engine.
func (h *Hive) withoutGPU(w want) spot {
	s := spot{device: processor, pools: []string{processor}}
	nodes, err := filepath.Glob("/dev/dri/renderD*")
	if !w.anyDevice || err == nil && len(nodes) > 0 && len(h.machine.gpus()) == 0 {
		s.device = w.device
	}
	return s
}

// unusable is the error for a GPU that the installed llama.cpp was not built for,
// which may be the best that its release has.
func (h *Hive) unusable(d ops.Device, kinds string) error {
	e := ops.Errorf(ops.CodeUnsupported, "the llama-server that is installed cannot use %s (%s): it is for %s", d.ID, d.Name, kinds).
		WithHint("`rbee engine install%[1]s` brings one that can where llama.cpp's release has one for %[2]s, and `rbee engine install%[1]s --from URL` an archive of your own; or take --device cpu", ops.HiveFlag(h.Name), d.Kind)
	e.Field = "device"
	return e
}

// gpuSpots are the places on cards: one alone, the freest first; several
// together; and what llama.cpp does by itself where a model is too big for
// them, which is to keep the rest of the layers in the machine's memory.
func (h *Hive) gpuSpots(gpus []ops.Device) []spot {
	slices.SortStableFunc(gpus, func(a, b ops.Device) int { return cmp.Compare(b.MemoryFreeBytes, a.MemoryFreeBytes) })
	var list []spot
	ids := make([]string, len(gpus))
	for i, d := range gpus {
		ids[i] = d.ID
		list = append(list, spot{
			device: d.ID, pools: h.machine.poolsOf(d.ID), spare: spareOfCard,
			why: fmt.Sprintf("it goes to %s (%s), which has %s free", d.ID, d.Name, humanBytes(d.MemoryFreeBytes)),
		})
	}
	slices.Sort(ids)
	all := strings.Join(ids, ",")
	pools := h.machine.poolsOf(all)
	if len(ids) > 1 {
		list = append(list, spot{
			device: all, pools: pools, spare: spareOfCard,
			why: "no card has that much free, and it is spread over " + strings.Join(ids, " and "),
		})
	}
	if !slices.Contains(pools, processor) {
		list = append(list, spot{
			device: all, pools: append(slices.Clone(pools), processor),
			why: "that is more than " + strings.Join(ids, " and ") + " can hold: some layers stay in the machine's memory, which is slower",
		})
	}
	return list
}
