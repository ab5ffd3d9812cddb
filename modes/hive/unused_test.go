package hive

import (
	"fmt"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhoDeletesAModelIsToldAllWorkersThatUseIt(t *testing.T) {
	free := uint64(1 << 40)
	h := roomy(t, &free)
	w, _ := h.bee(t, builtin, processor)
	for n := range mostUsers + 2 {
		h.idling(t, w)
		var ids []string
		for _, i := range h.fleet.list() {
			ids = append(ids, i.ID)
		}
		_, err := h.ModelDelete(t.Context(), ops.ModelDelete{ID: "bee"})
		wantCode(t, err, ops.CodeConflict, "the model bee")
		named, e := 0, ops.AsError(err)
		for _, id := range ids {
			if strings.Contains(e.Message, id) {
				named++
			}
		}
		more := max(0, n+1-mostUsers)
		if named != n+1-more || strings.Contains(e.Message, fmt.Sprintf(" and %d more use", more)) != (more > 0) {
			t.Errorf("of %d workers it names %d: %s", n+1, named, e.Message)
		}
		if ends := strings.Count(e.Hint, "`rbee worker delete w"); ends != n+1 && more == 0 || more > 0 && !strings.Contains(e.Hint, "`rbee worker list` shows them") {
			t.Errorf("of %d workers it hints %q", n+1, e.Hint)
		}
	}
}
