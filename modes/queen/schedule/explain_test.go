package schedule

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
)

func TestADecisionIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		for i, id := range []string{"a", "b", "c"} {
			d.add(id, 8<<30, bee)
			d.run(id, "w-"+id, "bee", 2)
			d.change(id, func(s *ops.HiveSnapshot) { s.Workers[0].Running = i })
		}
		d.get(Request{Job: "job", Model: "bee", Client: "me"}).Release()
		x, err := d.Explain("job")
		if err != nil || len(x.Decisions) != 1 || x.Model != "bee" || x.Client != "me" || x.Priority != ops.Interactive {
			t.Fatalf("%+v, %v", x, err)
		}
		var lines []string
		for _, c := range x.Decisions[0].Workers {
			lines = append(lines, fmt.Sprintf("%s %v %s %s", c.WorkerID, c.Chosen, c.Reason, c.Why))
		}
		want := "w-a true  0 of 2 slots taken\n" +
			"w-b false load 1 of 2 slots taken, the chosen one has 0 of 2\n" +
			"w-c false full all of its slots are taken, 2 of 2"
		if got := strings.Join(lines, "\n"); got != want || x.Decisions[0].Outcome != ops.DecidedWorker || x.Decisions[0].WorkerID != "w-a" {
			t.Errorf("it is explained by\n%s\nwant\n%s", got, want)
		}
	})
}

func TestAStartIsExplainedWithTheHivesThatLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 1<<20, bee)
		d.add("b", 8<<30, bee)
		d.get(Request{Job: "job", Model: "bee"}).Release()
		x, err := d.Explain("job")
		if err != nil {
			t.Fatal(err)
		}
		var outcomes []string
		for _, decision := range x.Decisions {
			outcomes = append(outcomes, string(decision.Outcome))
			if decision.Outcome == ops.DecidedStart && (decision.HiveID != "b" || len(decision.Hives) != 2 || decision.Hives[1].Reason != "too_large") {
				t.Errorf("the start: %+v", decision)
			}
		}
		if got := strings.Join(outcomes, " "); got != "start worker" {
			t.Errorf("it went %q", got)
		}
	})
}

func TestOnlySoMuchIsRemembered(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	d.add("a", 8<<30, bee)
	d.run("a", "w", "bee", 2)
	for i := range keptStories + 1 {
		d.get(Request{Job: fmt.Sprint(i), Model: "bee"}).Release()
	}
	if _, err := d.Explain("0"); ops.CodeOf(err) != ops.CodeNotFound || ops.AsError(err).Hint == "" {
		t.Errorf("the oldest: %v", err)
	}
	if _, err := d.Explain(fmt.Sprint(keptStories)); err != nil {
		t.Errorf("the newest: %v", err)
	}
	if n := len(d.past.stories); n != keptStories {
		t.Errorf("%d are remembered", n)
	}
}

func TestAConversationGoesWhereItsBeginningWas(t *testing.T) {
	d := newDepot(t, Options{})
	defer d.Close()
	for _, id := range []string{"a", "b"} {
		d.add(id, 8<<30, bee)
		d.run(id, "w-"+id, "bee", 4)
	}
	first, other := []byte(strings.Repeat("a long story ", 40)), []byte(strings.Repeat("something else ", 40))
	busy := d.get(Request{Model: "bee", Prefixes: Prefixes(other)}) // on a
	lease := d.get(Request{Model: "bee", Prefixes: Prefixes(first)})
	where := lease.Key()
	lease.Release()
	busy.Release()
	if where != (Key{Hive: "b", Worker: "w-b"}) {
		t.Fatalf("the first went to %v", where)
	}
	next := d.get(Request{Model: "bee", Prefixes: Prefixes(append(first, " and it goes on"...))})
	defer next.Release()
	if next.Key() != where {
		t.Errorf("the conversation went on at %v, not %v", next.Key(), where)
	}
	if len(Prefixes([]byte("short"))) != 0 || len(Prefixes(make([]byte, 1<<20))) != beginnings {
		t.Error("what is short has no beginning, what is long has so many and no more")
	}
}

func TestWhyARequestWasRefusedIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 1<<20, bee)
		refused := func(r Request) ops.Explanation {
			t.Helper()
			if lease, err := d.Acquire(t.Context(), r); err == nil {
				t.Fatalf("it has %+v", lease)
			}
			x, err := d.Explain(r.Job)
			if err != nil || x.Error == "" || strings.Contains(x.Hint, "explain") {
				t.Errorf("it is explained by %+v, %v", x, err)
			}
			return x
		}
		d.add(ops.LocalHive, 1<<20)
		numbers := ops.Errorf(ops.CodeUnavailable, "bee takes about 3.0 GiB").WithHint("in Q2_K it would fit")
		d.broken["a"] = numbers
		x := refused(Request{Job: "too large", Model: "bee"})
		if n := len(x.Decisions); n != 1 || x.Decisions[0].Failed != numbers.Message || x.Error != numbers.Message || x.Hint != numbers.Hint {
			t.Errorf("where nobody can do it: %+v", x)
		}
		refused(Request{Job: "unknown", Model: "bea"})
		x = refused(Request{Job: "elsewhere", Model: "bee", Hive: "b", Engine: "llamacpp"})
		if got := x.Decisions[0].Hives[0].Why; got != "the request asks for the hive b and the engine llamacpp" {
			t.Errorf("elsewhere: %s", got)
		}
		d.Drain(true)
		refused(Request{Job: "drained", Model: "bee"})
		d.Refuse(Request{Job: "named", Model: "bee", Hive: "nowhere"}, ops.Errorf(ops.CodeNotFound, "no such hive"))
		if x, err := d.Explain("named"); err != nil || x.Error != "no such hive" || len(x.Decisions) != 0 {
			t.Errorf("refused before: %+v, %v", x, err)
		}
	})
}

func TestAStartThatFailedIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		d.broken["a"] = ops.Errorf(ops.CodeNotFound, "there is no device cuda:7")
		if lease, err := d.Acquire(t.Context(), Request{Job: "it", Model: "bee", Device: "cuda:7"}); err == nil {
			t.Fatalf("it has %+v", lease)
		}
		x, err := d.Explain("it")
		if err != nil || len(x.Decisions) != 1 || x.Decisions[0].Outcome != ops.DecidedStart || x.Decisions[0].Failed != x.Error {
			t.Errorf("it is explained by %+v, %v", x, err)
		}
	})
	a, b := Place{hive: &hive{id: "a"}}, Place{hive: &hive{id: "b"}}
	begun := decision{act: Start, failed: "it broke", places: []Place{a}}
	for name, tt := range map[string]struct {
		seen []Place
		err  string
		want bool
	}{
		"of the same hives": {[]Place{a}, "it broke", true}, "of another one, too": {[]Place{a, b}, "it broke", false}, "with another reason": {[]Place{a}, "full", false},
	} {
		if got := (&decision{places: tt.seen}).repeats(&begun, errors.New(tt.err)); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestARequestWhoseModelIsBroughtIsExplainedFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, Options{})
		defer d.Close()
		d.add("a", 8<<30, bee)
		explained := func() ops.Explanation {
			t.Helper()
			x, err := d.Explain("job")
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		r := Request{Job: "job", Model: "hf:bees/bee"}
		d.Bring(r)
		time.Sleep(3 * time.Second)
		if x := explained(); x.Asked != "hf:bees/bee" || x.Model != "" || len(x.Decisions) != 0 {
			t.Errorf("while it comes: %+v", x)
		}
		r.Model = "bee"
		d.get(r).Release()
		if x := explained(); x.Model != "bee" || x.FoundMS != 3000 || x.WaitedMS < 3000 || len(x.Decisions) != 2 {
			t.Errorf("once it is there: %+v", x)
		}
		r = Request{Job: "none", Model: "hf:bees/none"}
		d.Bring(r)
		d.Refuse(r, ops.Errorf(ops.CodeNotFound, "there is no bees/none").WithHint("look there"))
		if x, err := d.Explain("none"); err != nil || x.Asked != r.Model || x.Error != "there is no bees/none" || x.Hint != "look there" {
			t.Errorf("one that there is not: %+v, %v", x, err)
		}
	})
}
