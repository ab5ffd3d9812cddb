package hive

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/ops"
)

// visibleNVIDIA are the cards that programs started here get to see, under the
// numbers that those give them.
func visibleNVIDIA(cards []nvidiaCard) []ops.Device {
	devices, uuids := make([]ops.Device, len(cards)), make([]string, len(cards))
	for i, c := range cards {
		devices[i], uuids[i] = c.Device, c.uuid
	}
	return visible(devices, uuids, "CUDA_VISIBLE_DEVICES")
}

// visible leaves of the cards those that a variable of the environment names, by
// number or by the beginning of the UUID, in its order (CUDA programming guide,
// "CUDA environment variables"; AMD's HIP reads its own the same way). The first
// name that is no card's ends the list. One that names an instance of a divided
// card hides nothing here.
func visible(all []ops.Device, uuids []string, variables ...string) []ops.Device {
	names, set := "", false
	for _, v := range variables {
		if names, set = os.LookupEnv(v); set {
			break
		}
	}
	if !set || strings.HasPrefix(names, "MIG-") {
		return all
	}
	var seen []ops.Device
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(d ops.Device) bool { return d.ID == d.Kind+":"+name })
		if i < 0 && name != "" {
			i = slices.IndexFunc(uuids, func(uuid string) bool { return strings.HasPrefix(uuid, name) })
		}
		if i < 0 {
			break
		}
		d := all[i]
		d.ID = d.Kind + ":" + strconv.Itoa(len(seen))
		seen = append(seen, d)
	}
	return seen
}
