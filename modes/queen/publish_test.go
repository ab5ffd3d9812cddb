package queen

import (
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestEachChangeOfTheBooksIsToldAndInTheSnapshot(t *testing.T) {
	o := options(t, "127.0.0.1:0")
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer q.close() //nolint:errcheck // the folder goes anyway
	defer q.ln.Close()
	if err := q.books.load(t.Context(), q.store, map[string]record{}); err != nil {
		t.Fatal(err)
	}
	told := func(what string) {
		t.Helper()
		select {
		case <-q.books.changed:
		default:
			t.Errorf("%s is not told", what)
		}
	}
	told("a hive that is added")
	q.books.heard(ops.LocalHive, ops.HiveSnapshot{
		Hive: ops.Hive{ID: ops.LocalHive}, Workers: []ops.Worker{{ID: "w2", HiveID: "localhost"}, {ID: "w1", HiveID: "localhost"}}, Models: []ops.Model{{ID: "bee", HiveID: "localhost"}},
	}, time.Now())
	told("what a hive says")
	s := q.snapshot()
	if len(s.Hives) != 1 || s.Hives[0].State != ops.HiveUp || len(s.Workers) != 2 || s.Workers[0].ID != "w1" || len(s.Models) != 1 {
		t.Errorf("it is %+v", s)
	}
	q.books.lost(ops.LocalHive, "gone")
	told("a hive that is lost")
	if s := q.snapshot(); s.Hives[0].State != ops.HiveDown || len(s.Workers) != 0 {
		t.Errorf("then it is %+v", s)
	}
	q.books.lost(ops.LocalHive, "gone")
	select {
	case <-q.books.changed:
		t.Error("what has not changed is told again")
	default:
	}
	q.books.remove(ops.LocalHive)
	told("a hive that is removed")
}
