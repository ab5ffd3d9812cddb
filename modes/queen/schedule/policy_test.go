package schedule

import (
	"fmt"
	"testing"

	"rbee.dev/rbee/ops"
)

// w is a worker of the decision table: its hive, slots, those taken, how warm it
// is, and why it is barred.
func w(name string, slots, taken, warm int32, barred Reason) Candidate {
	return Candidate{Slots: slots, Taken: taken, Warm: warm, Barred: barred, worker: &worker{hive: &hive{id: name}}}
}

// TestTheDecisionTable is what the default policy does. Workers and places are
// in the order of a [View]: the queen's own machine's first, then by name.
func TestTheDecisionTable(t *testing.T) {
	disk := func(name string, free int64) Place { return Place{hive: &hive{id: name}, OnDisk: true, Free: free} }
	for _, tt := range []struct {
		name    string
		workers []Candidate
		places  []Place
		held    bool
		want    string // use HIVE, start HIVE, or wait
	}{
		{"nobody is there", nil, nil, false, "wait"},
		{"the only one", []Candidate{w("a", 4, 3, 0, 0)}, nil, false, "use a"},
		{"not one that loads", []Candidate{w("a", 4, 0, 0, Loading)}, nil, false, "wait"},
		{"not one that has failed", []Candidate{w("a", 4, 0, 0, Failed), w("b", 4, 2, 0, 0)}, nil, false, "use b"},
		{"not one that is drained", []Candidate{w("a", 4, 0, 0, Drained), w("b", 4, 3, 0, 0)}, nil, false, "use b"},
		{"not one that is full", []Candidate{w("a", 4, 4, 0, 0)}, nil, false, "wait"},
		{"the least busy", []Candidate{w("a", 4, 2, 0, 0), w("b", 4, 1, 0, 0)}, nil, false, "use b"},
		{"by its capacity", []Candidate{w("a", 2, 1, 0, 0), w("b", 8, 2, 0, 0)}, nil, false, "use b"},
		{"of two as busy the one that knows the beginning", []Candidate{w("a", 4, 1, 0, 0), w("b", 4, 1, 3, 0)}, nil, false, "use b"},
		{"that knows more of it", []Candidate{w("a", 4, 1, 2, 0), w("b", 4, 1, 3, 0)}, nil, false, "use b"},
		{"the least busy before the one that knows", []Candidate{w("a", 4, 1, 9, 0), w("b", 4, 0, 0, 0)}, nil, false, "use b"},
		{"the larger of two idle ones", []Candidate{w("a", 2, 0, 0, 0), w("b", 4, 0, 0, 0)}, nil, false, "use b"},
		{"the first of two alike", []Candidate{w("localhost", 4, 0, 0, 0), w("a", 4, 0, 0, 0)}, nil, false, "use localhost"},
		{"a worker before a place", []Candidate{w("a", 4, 3, 0, 0)}, []Place{disk("b", 9)}, false, "use a"},
		{"a place where all are full", []Candidate{w("a", 4, 4, 0, 0)}, []Place{disk("b", 9)}, false, "start b"},
		{"none where enough is coming", []Candidate{w("a", 4, 4, 0, 0)}, []Place{disk("b", 9)}, true, "wait"},
		{"a place with the model before one without", nil, []Place{{hive: &hive{id: "a"}, Fast: true, Free: 99}, disk("b", 1)}, false, "start b"},
		{"where a person's worker comes back before any other", nil, []Place{disk("a", 99), {hive: &hive{id: "b"}, OnDisk: true, Kept: true, Evicts: true}}, false, "start b"},
		{"one that can get it", nil, []Place{{hive: &hive{id: "a"}, OnDisk: true, Barred: Crowded}, {hive: &hive{id: "b"}}}, false, "start b"},
		{"accelerators that hold it", nil, []Place{disk("a", 99), {hive: &hive{id: "b"}, OnDisk: true, Fast: true, Evicts: true}}, false, "start b"},
		{"where nobody has to go", nil, []Place{{hive: &hive{id: "a"}, OnDisk: true, Evicts: true, Free: 99}, disk("b", 1)}, false, "start b"},
		{"where most is free", nil, []Place{disk("a", 1), disk("b", 2)}, false, "start b"},
		{"the first of two places alike", nil, []Place{disk("a", 1), disk("b", 1)}, false, "start a"},
		{"one where workers have had their share", nil, []Place{{hive: &hive{id: "a"}, Barred: Crowded}, {hive: &hive{id: "b"}, Barred: Crowded, Yields: true}}, false, "claim b"},
		{"of two such the one with the model", nil, []Place{{hive: &hive{id: "a"}, Barred: Crowded, Yields: true}, {hive: &hive{id: "b"}, OnDisk: true, Barred: Crowded, Yields: true}}, false, "claim b"},
		{"any other place before it", nil, []Place{{hive: &hive{id: "a"}, OnDisk: true, Barred: Crowded, Yields: true}, {hive: &hive{id: "b"}}}, false, "start b"},
		{"none where enough is coming, had they their share", nil, []Place{{hive: &hive{id: "a"}, Barred: Crowded, Yields: true}}, true, "wait"},
		{"not a worker that makes room", []Candidate{w("a", 4, 1, 0, Yielding)}, nil, false, "wait"},
		{"no place that is barred", nil, []Place{{hive: &hive{id: "a"}, Barred: Down}, {hive: &hive{id: "b"}, Barred: TooLarge}}, false, "wait"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &View{Workers: tt.workers, Held: tt.held, places: func() []Place { return tt.places }}
			if got := told(v, policies[DefaultPolicy].Choose(&Request{}, v)); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}

// told is a choice in the table's words.
func told(v *View, c Choice) string {
	switch c.Act {
	case Use:
		return "use " + v.Workers[c.At].Hive()
	case Start:
		return "start " + v.Places()[c.At].Hive()
	case Claim:
		return "claim " + v.Places()[c.At].Hive()
	}
	return "wait"
}

func TestPoliciesAreSwappedByName(t *testing.T) {
	v := &View{Workers: []Candidate{w("a", 4, 1, 0, 0), w("b", 4, 3, 0, 0), w("c", 4, 4, 0, 0)}}
	for name, want := range map[string]string{"": "use a", "balanced": "use a", "packed": "use b"} {
		p, err := PolicyNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := told(v, p.Choose(&Request{}, v)); got != want {
			t.Errorf("%q says %q, want %q", name, got, want)
		}
	}
	if _, err := PolicyNamed("random"); ops.CodeOf(err) != ops.CodeInvalid || ops.AsError(err).Hint != "there are: balanced, packed" {
		t.Errorf("an unknown one: %v (%s)", err, ops.AsError(err).Hint)
	}
}

func TestEveryReasonHasWords(t *testing.T) {
	for r := Loading; r <= Cooling; r++ {
		if r == waitable {
			continue
		}
		if texts[r].word == "" || texts[r].human == "" || r.String() != texts[r].human {
			t.Errorf("reason %d has no words: %q", r, r)
		}
	}
	if got := fmt.Sprint(Reason(200)); got != "reason 200" {
		t.Errorf("an unknown one is %q", got)
	}
}
