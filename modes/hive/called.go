package hive

import (
	"context"
	"slices"
	"strings"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// called is, for the id of each card that the llama-server computes on, its own name of
// it: cuda:0, or vulkan:0 where it is built for Vulkan. One that does not say what it
// is built for, or that is not there, may use any.
func (h *Hive) called(ctx context.Context, program string) map[string]string {
	cards := h.machine.gpus()
	if devices, says := h.programs.devices(ctx, program); says {
		return callings(devices, cards)
	}
	all := map[string]string{}
	for _, c := range cards {
		all[c.ID] = c.ID
	}
	return all
}

// callings finds the cards among what a llama-server lists. Vulkan, which is for cards
// of every maker, counts them by itself, so they are known by their names, in order
// where several have one name; and a maker's only card by the maker's name.
func callings(devices []llamacpp.Device, cards []ops.Device) map[string]string {
	called := map[string]string{}
	for _, c := range cards {
		if slices.ContainsFunc(devices, func(d llamacpp.Device) bool { return d.Kind() == c.Kind }) {
			called[c.ID] = c.ID
		}
	}
	cards = slices.DeleteFunc(slices.Clone(cards), func(c ops.Device) bool { return called[c.ID] != "" })
	devices = slices.DeleteFunc(slices.Clone(devices), func(d llamacpp.Device) bool { return d.Kind() != "vulkan" })
	for _, c := range cards {
		if i := slices.IndexFunc(devices, func(d llamacpp.Device) bool { return sameName(d.Name, c.Name) }); i >= 0 {
			called[c.ID] = devices[i].ID
			devices = slices.Delete(devices, i, i+1)
		}
	}
	for kind, makers := range map[string][]string{"cuda": {"nvidia"}, "rocm": {"amd", "radeon"}} {
		left := slices.DeleteFunc(slices.Clone(cards), func(c ops.Device) bool { return c.Kind != kind || called[c.ID] != "" })
		theirs := slices.DeleteFunc(slices.Clone(devices), func(d llamacpp.Device) bool {
			return !slices.ContainsFunc(makers, func(m string) bool { return strings.Contains(strings.ToLower(d.Name), m) })
		})
		if len(left) == 1 && len(theirs) == 1 {
			called[left[0].ID] = theirs[0].ID
		}
	}
	return called
}

// sameName reports whether two names are of one card: drivers add to them, as in "AMD
// Radeon RX 7900 XTX (RADV NAVI31)" for the Radeon RX 7900 XTX.
func sameName(device, card string) bool {
	name := func(s string) string {
		s, _, _ = strings.Cut(strings.ToLower(s), " (")
		return strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(s, "nvidia "), "amd "))
	}
	return name(card) != "" && name(device) == name(card)
}

// asCalled is what the worker's llama-server calls its device, where that is not the
// device's id; else "".
func (h *Hive) asCalled(ctx context.Context, w want) string {
	if w.program == "" || w.device == auto || w.device == processor {
		return ""
	}
	server := w.program
	if w.engine == ops.EngineRPC { // which lists nothing itself
		server, _ = h.llamaServer()
	}
	called := h.called(ctx, server)
	ids := strings.Split(w.device, ",")
	for i, id := range ids {
		if called[id] != "" {
			ids[i] = called[id]
		}
	}
	if name := strings.Join(ids, ","); name != w.device {
		return name
	}
	return ""
}
