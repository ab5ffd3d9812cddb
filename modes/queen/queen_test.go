package queen

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/modes/queen/schedule"
	"rbee.dev/rbee/ops"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

func options(t *testing.T, listen string) Options {
	t.Helper()
	root := t.TempDir()
	h := home.Home{Config: filepath.Join(root, "config"), State: filepath.Join(root, "state"), Cache: filepath.Join(root, "cache")}
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Home: h, Listen: listen, Binary: exe, Log: zerolog.Nop()}
}

func TestAQueenListensOnLoopbackOnly(t *testing.T) {
	for listen, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "127.9.9.9:0": true,
		"0.0.0.0:0": false, ":0": false, "192.168.1.2:0": false, "[::]:0": false, "example.org:0": false, "7833": false,
	} {
		q, err := New(options(t, listen))
		if (err == nil) != ok {
			t.Errorf("%s: %v", listen, err)
		}
		if err != nil {
			if ops.CodeOf(err) != ops.CodeInvalid {
				t.Errorf("%s: code %s", listen, ops.CodeOf(err))
			}
			continue
		}
		if err := q.ln.Close(); err != nil {
			t.Error(err)
		}
		if err := q.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestASecondQueenIsRefusedAndTheFirstKeepsItsFile(t *testing.T) {
	o := options(t, "127.0.0.1:0")
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer q.close() //nolint:errcheck // the folder goes anyway
	defer q.ln.Close()
	if _, err := New(o); ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), q.address) {
		t.Errorf("got %v, want a conflict that names %s", err, q.address)
	}
	if _, err := os.Stat(o.Home.PIDFile("queen")); err != nil {
		t.Error(err)
	}
}

func TestHivesAreFoundByNameOrNearTo(t *testing.T) {
	q := &Queen{books: books{schedule: schedule.New(schedule.Options{}), hives: map[string]*entry{"localhost": {}, "gpu1": {}}}}
	if id, err := q.hive(""); err != nil || id != ops.LocalHive {
		t.Errorf("no name: %s, %v", id, err)
	}
	if id, err := q.hive("gpu1"); err != nil || id != "gpu1" {
		t.Errorf("a name: %s, %v", id, err)
	}
	_, err := q.hive("gpu2")
	if ops.CodeOf(err) != ops.CodeNotFound || !strings.Contains(ops.AsError(err).Hint, `"gpu1"`) {
		t.Errorf("another name: %v", err)
	}
}

func TestWhatIsNotOnAHiveIsSaidToBeOnAnother(t *testing.T) {
	far := ops.HiveSnapshot{Workers: []ops.Worker{{ID: "w1"}}, Models: []ops.Model{{ID: "mid"}}}
	q := &Queen{books: books{schedule: schedule.New(schedule.Options{}), hives: map[string]*entry{
		"localhost": {state: ops.HiveUp}, "far": {state: ops.HiveUp, snapshot: far}, "gone": {state: ops.HiveDown, snapshot: far},
	}}}
	none := ops.Errorf(ops.CodeNotFound, "there is none on hive localhost").WithHint("did you mean another?")
	for _, o := range []ops.HiveOp{ops.WorkerGet{ID: "w1"}, ops.WorkerDelete{ID: "w1"}, ops.ModelGet{ID: "mid"}, ops.ModelDelete{ID: "mid"}, ops.ModelPin{ID: "mid"}, ops.ModelUnpin{ID: "mid"}} {
		e := ops.AsError(q.tellWhere(none, ops.LocalHive, o))
		if e.Code != ops.CodeNotFound || e.Message != "there is none on hive localhost; it is on far" || e.Hint != "add --hive far" {
			t.Errorf("%s: %q, %q", o.Name(), e.Message, e.Hint)
		}
		if err := q.tellWhere(none, "far", o); !errors.Is(err, none) || err.Error() != none.Error() {
			t.Errorf("%s of the hive that has it: %v", o.Name(), err)
		}
	}
	for _, o := range []ops.HiveOp{ops.WorkerGet{ID: "w2"}, ops.ModelGet{ID: "w1"}, ops.Infer{Model: "mid"}} {
		if err := q.tellWhere(none, ops.LocalHive, o); !errors.Is(err, none) || err.Error() != none.Error() {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestListsWithoutAHiveAreOfAllHives(t *testing.T) {
	q := &Queen{books: books{schedule: schedule.New(schedule.Options{}), hives: map[string]*entry{"gpu1": {}, "gpu2": {}}}}
	for _, o := range ops.All() {
		list, ok := o.(ops.HiveOp)
		if !ok || !strings.HasSuffix(o.Name(), "_list") {
			continue
		}
		// No hive is up, so nobody is asked; one that were taken for the local
		// hive's alone would have to start it.
		merged, err := q.route(t.Context(), list)
		if err != nil {
			t.Errorf("%s: %v: merge it in route", o.Name(), err)
		}
		if _, forwarded := merged.(json.RawMessage); forwarded {
			t.Errorf("%s goes to one hive", o.Name())
		}
	}
}
