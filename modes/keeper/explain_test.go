package keeper

import (
	"bytes"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAnExplanationReadsWell(t *testing.T) {
	at := time.Now()
	for name, tt := range map[string]struct {
		x    ops.Explanation
		want []string // in this order
	}{
		"a worker is started": {ops.Explanation{Decisions: []ops.Decision{
			{At: at, Outcome: ops.DecidedStart, HiveID: "gpu1", Hives: []ops.Considered{
				{HiveID: "gpu1", Chosen: true, Why: "the model is on its disk"}, {HiveID: "attic", Why: "the hive is drained"},
			}},
			{At: at, Outcome: ops.DecidedWorker, HiveID: "gpu1", WorkerID: "w1", Workers: []ops.Considered{
				{HiveID: "gpu1", WorkerID: "w1", Chosen: true, Why: "0 of 4 slots taken"},
			}, Omitted: 7},
		}}, []string{
			"no worker has the model: one is started on gpu1", "HIVE", "gpu1   yes     the model is on its disk", "attic  no      the hive is drained",
			"worker w1 on gpu1 got it", "WORKER", "w1      gpu1  yes     0 of 4 slots taken", "and 7 more",
		}},
		"it waits for somebody else's worker": {
			ops.Explanation{Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedWait, Coming: true}}},
			[]string{"it waits for a worker that is being started\n"},
		},
		"it waits": {
			ops.Explanation{Decisions: []ops.Decision{
				{At: at, Outcome: ops.DecidedWait},
				{At: at, Outcome: ops.DecidedWait, Workers: []ops.Considered{{HiveID: "gpu1", WorkerID: "w1", Why: "all of its slots are taken, 4 of 4"}}},
				{At: at, Outcome: ops.DecidedStart, HiveID: "gpu2", Workers: []ops.Considered{{HiveID: "gpu1", WorkerID: "w1", Why: "all of its slots are taken, 4 of 4"}}},
			}},
			[]string{"it waits: no worker has the model, and no hive can start one now\n", "it waits: no worker is free, and no hive can start one now\n", "no worker was free: one is started on gpu2\n"},
		},
		"its model comes": {ops.Explanation{Asked: "hf:bees/tiny"}, []string{"asked for  hf:bees/tiny\n", "it waits until the model is there\n"}},
		"its model has come": {
			ops.Explanation{Asked: "hf:bees/tiny", Model: "tiny-Q8_0", FoundMS: 73_512, Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedStart, HiveID: "gpu1"}}},
			[]string{"model      tiny-Q8_0\n", "asked for  hf:bees/tiny, which took 1m13.51s to bring\n", "one is started on gpu1\n"},
		},
		"its model was there": {
			ops.Explanation{Asked: "hf:bees/tiny", Model: "tiny-Q8_0", FoundMS: 1.5, Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedStart, HiveID: "gpu1"}}},
			[]string{"asked for  hf:bees/tiny\n"},
		},
		"nobody can do it": {
			ops.Explanation{Client: "token", Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedRefused}}},
			[]string{"client    the queen's token", "interactive", "no worker can do it, and no hive can start one: it was refused\n"},
		},
		"busy workers make room for it": {
			ops.Explanation{Client: "10.0.0.7", Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedRoom, HiveID: "gpu1"}}},
			[]string{"client", "10.0.0.7", "it has waited long enough: busy workers on gpu1 make room for it\n"},
		},
		"it has not had its turn": {
			ops.Explanation{Waits: true, Place: 3, Waiting: 7, WaitedMS: 12_340, Decisions: []ops.Decision{
				{At: at, Outcome: ops.DecidedWait, Workers: []ops.Considered{{HiveID: "gpu1", WorkerID: "w1", Why: "all of its slots are taken, 4 of 4"}}},
			}},
			[]string{"waited    12.3 s so far, place 3 of 7 in the queue\n", "it waits its turn, behind 2 others: no worker is free, and no hive can start one now\n", "w1", "all of its slots are taken"},
		},
		"it is the next": {
			ops.Explanation{Waits: true, Place: 1, Waiting: 7, Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedWait}}},
			[]string{"waited    0 ms so far, place 1 of 7 in the queue\n", "it waits: no worker has the model"},
		},
		"it has waited": {
			ops.Explanation{Place: 3, Waiting: 7, WaitedMS: 812.5, Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedWorker, WorkerID: "w1", HiveID: "gpu1"}}},
			[]string{"waited    812 ms, from place 3 of 7 in the queue\n", "worker w1 on gpu1 got it\n"},
		},
		"it was moved": {
			ops.Explanation{Decisions: []ops.Decision{
				{At: at, Outcome: ops.DecidedWorker, WorkerID: "w1", HiveID: "gpu1", Failed: "python3 ended"}, {At: at, Outcome: ops.DecidedWorker, WorkerID: "w2", HiveID: "gpu1"},
			}},
			[]string{"worker w1 on gpu1 got it\n", "              it failed: python3 ended\n", "worker w2 on gpu1 got it\n"},
		},
		"room was made for it": {
			ops.Explanation{Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedStart, HiveID: "gpu1", Notes: []string{"unloading ant"}}}},
			[]string{"one is started on gpu1\n", "              unloading ant\n"},
		},
		"a worker was asked for": {
			ops.Explanation{Spawn: true, Error: "no room", Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedStart, HiveID: "gpu1"}, {At: at, Outcome: ops.DecidedRefused}}},
			[]string{"error     no room\n", "a worker is to be started: on gpu1\n", "no hive can start a worker: it was refused\n"},
		},
		"it is over": {
			ops.Explanation{Model: "bee", Alias: "fast", Client: "k1", KeyName: "web", Ended: ops.EndedDone, TookMS: 2340, Decisions: []ops.Decision{
				{At: at, Outcome: ops.DecidedWorker, WorkerID: "w1", Failed: "it broke off"}, {At: at, Outcome: ops.DecidedWorker, WorkerID: "w2"},
			}},
			[]string{"model      bee\n", "asked for  fast, an alias\n", "client     k1 (web)\n", "ended      done, after 2.3 s; 1 worker failed it before the last one\n"},
		},
		"its client went away": {
			ops.Explanation{Client: "token", Ended: ops.EndedGone, TookMS: 12, Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedWorker, WorkerID: "w1", Failed: "it broke off"}}},
			[]string{"client    the queen's token\n", "ended     its client went away, after 12 ms\n"},
		},
		"it runs":                 {ops.Explanation{}, []string{"ended     not yet\n"}},
		"nobody knows how it was": {ops.Explanation{Ended: ops.EndedLost}, []string{"ended     nobody knows: the queen ended before it did\n"}},
		"a newer queen tells it":  {ops.Explanation{Ended: "eaten"}, []string{"ended     eaten\n"}},
		"its alias means a reference": {
			ops.Explanation{Alias: "fast", Asked: "hf:bees/tiny", FoundMS: 73_512, WaitedMS: 80_000, Place: 2, Waiting: 2, Model: "tiny"},
			[]string{"asked for  fast, an alias of hf:bees/tiny, which took 1m13.51s to bring\n", "waited     80.0 s, from place 2 of 2 in the queue once its model was there\n"},
		},
		"its model is brought": {
			ops.Explanation{Asked: "hf:bees/tiny", Decisions: []ops.Decision{
				{At: at, Outcome: ops.DecidedDownload, HiveID: "gpu1", Failed: "its disk is full", Hives: []ops.Considered{{HiveID: "gpu1", Chosen: true, Why: "it has most"}}},
				{At: at, Outcome: ops.DecidedRefused, Hives: []ops.Considered{{HiveID: "gpu2", Reason: "drained", Why: "the hive is drained"}}},
			}},
			[]string{"no hive had the model: it is downloaded onto gpu1\n", "it failed: its disk is full\n", "yes     it has most\n", "no hive can take the model: it was refused\n", "no      the hive is drained\n"},
		},
		"its engine has failed": {
			ops.Explanation{Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedRefused, Workers: []ops.Considered{{HiveID: "gpu1", WorkerID: "w1", Reason: "tried", Why: "it has failed this request"}}}}},
			[]string{"no other worker runs the model, and none is started for what an engine has failed\n", "w1      gpu1  no      it has failed this request\n"},
		},
		"it made way": {
			ops.Explanation{Place: 2, Waiting: 2, WaitedMS: 620, Client: "token", Error: "made way for an interactive request: 2 requests wait for m already", Decisions: []ops.Decision{
				{At: at, Outcome: ops.DecidedWait}, {At: at, Outcome: ops.DecidedMadeWay, Notes: []string{"for an interactive request"}},
			}},
			[]string{"waited    620 ms, from place 2 of 2 in the queue\n", "error     made way for an", "as many wait for the model as may: it made way\n", "              for an interactive request\n"},
		},
		"too many wait": {
			ops.Explanation{Error: "2 requests wait for m already", Decisions: []ops.Decision{{At: at, Outcome: ops.DecidedFull, Workers: []ops.Considered{{HiveID: "gpu1", WorkerID: "w1", Why: "all of its slots are taken, 4 of 4"}}}}},
			[]string{"error     2 requests wait", "as many wait for the model as may: it was refused\n", "w1", "all of its slots are taken"},
		},
		"it was refused": {ops.Explanation{Error: "600 requests wait", Hint: "try again"}, []string{"error", "600 requests wait", "hint", "try again"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.x.JobID, tt.x.Priority, tt.x.At = "job", ops.Interactive, at
			var out bytes.Buffer
			w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
			explanation(w, tt.x)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			rest := out.String()
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("after what was found it does not say %q:\n%s", want, out.String())
				}
				rest = after
			}
		})
	}
}

func TestADrainIsToldInNumbersThatFit(t *testing.T) {
	for want, s := range map[string]ops.DrainState{
		"the hive gpu1 takes no new work; 1 request runs there, 1 waits for its workers; `rbee hive resume gpu1` undoes this\n": {HiveID: "gpu1", Drained: true, Running: 1, Waiting: 1},
		"the queen takes no new work; 2 requests run, 0 wait; `rbee queen resume` undoes this\n":                                {Drained: true, Running: 2},
		"the queen takes work again\n": {},
	} {
		var b strings.Builder
		if drainState(&b, s); b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}
