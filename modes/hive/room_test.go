package hive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// roomy is a hive with a model called bee, which takes what bee says, and with so
// much memory free of 64 GiB. It runs no workers.
func roomy(t *testing.T, free *uint64) *Hive {
	t.Helper()
	h := &Hive{
		Options: Options{Name: "localhost", Memory: func(context.Context) (uint64, uint64) { return 64 << 30, *free }},
		models:  newModels(t), placing: make(chan struct{}, 1),
	}
	h.machine.memory = h.Memory
	h.fleet = &fleet{hive: "localhost", home: home.Home{State: t.TempDir()}, members: map[string]*member{}, changed: func() {}}
	h.models.put(t, "bee/model.gguf", gguftest.Model{Type: gguf.Q8_0, Layers: 4, Width: 512, Heads: 8, KVHeads: 8, FFN: 2048, Context: 8192}.Bytes())
	return h
}

// bee is a worker for the model called bee, and what it takes.
func (h *Hive) bee(t *testing.T, engine, device string) (w want, takes uint64) {
	t.Helper()
	m, err := h.models.get("bee")
	if err != nil {
		t.Fatal(err)
	}
	shape := h.models.shape("bee")
	return want{model: m, engine: engine, program: os.Getenv(llamacpp.PathEnv), device: device, anyEngine: true, anyDevice: device == auto}, shape.Need(runOf(engine, shape, inference.Spec{})).Total()
}

// leaving is how much must be free for so much to count (see freeable).
func leaving(counts uint64) uint64 { return counts + counts/127 + 1 }

// promising is how much must count as free for a hint to count on so much.
func promising(takes uint64) uint64 { return takes + takes/63 + 1 }

func TestAModelThatDoesNotFitIsRefusedWithWhatWould(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	shape := h.models
	for _, c := range []struct {
		name  string
		takes inference.Spec // of which there is as much free
		less  uint64
		hint  string
	}{
		{"a shorter context", inference.Spec{ContextLength: 1024}, 0, "`rbee worker spawn bee --hive localhost --parallel 4 --context-length 1024` fits"},
		{"fewer requests", inference.Spec{ContextLength: 768, Parallel: 1}, 0, "`rbee worker spawn bee --hive localhost --parallel 1 --context-length 768` fits"},
		{"fewer bits", inference.Spec{ContextLength: 512, Parallel: 1}, 1 << 20, "in Q6_K, about 13 MiB of weights, it would fit with `--parallel 1 --context-length 512`"},
		{"nothing", inference.Spec{ContextLength: 512, Parallel: 1}, 60 << 20, "take a smaller model"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, takes := h.bee(t, builtin, processor)
			w.anyDevice = true
			m := shape.shape("bee")
			counts := promising(m.Need(m.Builtin(c.takes)).Total() - c.less)
			free = leaving(counts)
			_, err := h.makeRoom(t.Context(), w)
			wantCode(t, err, ops.CodeUnavailable, "bee takes about "+humanBytes(takes), "of weights", "for 4 requests of 4096 tokens",
				"of the 64 GiB that hive localhost has, "+humanBytes(counts)+" are free", c.hint)
		})
	}
	w, takes := h.bee(t, builtin, processor)
	free = takes
	if _, err := h.makeRoom(t.Context(), w); err != nil {
		t.Errorf("with what it takes free: %v", err)
	}
}

func TestOfADividedModelItsPartIsHeldAgainstTheMemory(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	h.Name = "gpu1"
	w, _ := h.bee(t, llamaCpp, auto)
	w.anyEngine, w.parts, w.stays, w.context, w.parallel = false, []string{"far"}, 0.5, 8192, 1
	shape := h.models.shape("bee")
	whole := shape.Need(w.run(shape))
	half := shape
	half.Share = 0.5
	part := half.Need(w.run(half))
	if part.Weights != whole.Weights/2 || part.Cache != whole.Cache/2 || part.Compute != whole.Compute {
		t.Errorf("half of %+v takes %+v", whole, part)
	}
	free = part.Total()
	if got, err := h.roomOnly(t.Context(), w); err != nil || got.ID != "" || got.Model != "bee" || got.PartBytes != whole.Total() {
		t.Errorf("with what its part takes free: %+v, %v", got, err)
	}
	half.Context = 0
	free = leaving(promising(half.Need(half.LlamaCpp(inference.Spec{ContextLength: 1024, Parallel: 1})).Total()))
	_, err := h.roomOnly(t.Context(), w)
	wantCode(t, err, ops.CodeUnavailable, "the part of bee that hive gpu1 is to hold takes about "+humanBytes(part.Total()),
		humanBytes(part.Cache)+" for 1 request of 8192 tokens", "of the 64 GiB that hive gpu1 has",
		"`rbee worker spawn bee --hives gpu1,far --share 0.5 --parallel 1 --context-length 1024` fits")
	if len(h.fleet.all()) > 0 {
		t.Error("a worker is started")
	}
}

// idling has a worker that has nothing to do, without a process.
func (h *Hive) idling(t *testing.T, w want) {
	t.Helper()
	m, err := h.place(t.Context(), w, func() bool { return false }, h.loading(t))
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.info.State = ops.WorkerReady
	m.mu.Unlock()
	m.client.Close()
}

func TestWhatIdleWorkersWouldLeaveCountsAsFree(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, takes := h.bee(t, builtin, processor)
	free = 2 * takes
	for range 2 {
		h.idling(t, w)
	}
	w.context, w.parallel = 1<<20, 64
	for total, says := range map[uint64]string{
		3 * takes / 2: " are free for it",
		1 << 36:       "of the 64 GiB that hive localhost has, " + humanBytes(free-free/128) + " are free for it", // the rest is others'
	} {
		h.Options.Memory = func(context.Context) (uint64, uint64) { return total, free }
		_, err := h.makeRoom(t.Context(), w)
		wantCode(t, err, ops.CodeUnavailable, says, "`rbee worker spawn bee --hive localhost --device cpu --parallel ")
		wantLack(t, err)
		if len(h.fleet.all()) != 2 {
			t.Fatal("workers are unloaded for one that does not fit even then")
		}
	}
}

// wantLack checks that a queen can tell that it is memory that a refusal is for.
func wantLack(t *testing.T, err error) {
	t.Helper()
	if e := ops.AsError(err); e.Lacks != ops.LacksMemory {
		t.Errorf("%v lacks %q", e, e.Lacks)
	}
}

func TestAPartThatDoesNotFitEvenThenUnloadsNothing(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, takes := h.bee(t, builtin, processor)
	free = takes
	h.idling(t, w)
	part := want{engine: ops.EngineRPC, device: processor, partOf: "gpu1/w", partBytes: takes + 1}
	_, err := h.makeRoom(t.Context(), part)
	wantCode(t, err, ops.CodeUnavailable, "are free for it")
	wantLack(t, err)
	if len(h.fleet.all()) != 1 {
		t.Error("a worker is unloaded for one that does not fit even then")
	}
}

func TestSizesThatDifferDoNotReadTheSame(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		needs, free uint64
		want        string
	}{
		{39 * gib, 23 * gib, "39 GiB, 23 GiB"},
		{23*gib + gib/10, 22*gib + 3*gib/4, "23.1 GiB, 22.8 GiB"},
		{23*gib + 1, 23 * gib, "24696061953 bytes, 24696061952 bytes"},
		{gib, gib, "1.0 GiB, 1.0 GiB"},
	} {
		if a, b := apart(c.needs, c.free); a+", "+b != c.want {
			t.Errorf("%d, %d: %s, %s; want %s", c.needs, c.free, a, b, c.want)
		}
	}
}

// loading makes a member that loads the model called bee, as if it had just been
// started.
func (h *Hive) loading(t *testing.T) func(want) (*member, bool) {
	t.Helper()
	return func(w want) (*member, bool) {
		h.fleet.mu.Lock()
		defer h.fleet.mu.Unlock()
		id := fmt.Sprint("w", len(h.fleet.members))
		m := newMember(id, t.TempDir(), "localhost", w)
		t.Cleanup(m.client.Close)
		h.fleet.members[id] = m
		return m, false
	}
}

func TestTwoThatComeAtOnceDoNotCountTheSameMemory(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, takes := h.bee(t, builtin, processor)
	free = 5*takes - 1 // four fit, whoever comes first
	var group sync.WaitGroup
	var mu sync.Mutex
	placed, refused := 0, 0
	for range 8 {
		group.Go(func() {
			_, err := h.place(t.Context(), w, func() bool { return false }, h.loading(t))
			mu.Lock()
			defer mu.Unlock()
			switch ops.CodeOf(err) {
			case "":
				placed++
			case ops.CodeBusy: // the others will have nothing to do one day
				refused++
			}
		})
	}
	group.Wait()
	if placed != 4 || refused != 4 {
		t.Errorf("%d were placed and %d refused", placed, refused)
	}
}

func TestOneThatIsThereAlreadyNeedsNoRoom(t *testing.T) {
	free := uint64(1)
	h := roomy(t, &free)
	w, _ := h.bee(t, builtin, processor)
	if _, err := h.place(t.Context(), w, func() bool { return true }, h.loading(t)); err != nil {
		t.Error(err)
	}
}

// cards is a machine with cards of 24 GiB, of which so much is free, and with a
// llama-server that can use devices called so. Both are programs that print what the
// real ones do.
func cards(t *testing.T, h *Hive, usable string, mebibytesFree ...int) {
	t.Helper()
	var lines strings.Builder
	for i, n := range mebibytesFree {
		fmt.Fprintf(&lines, "%d, NVIDIA GeForce RTX 4090, 24564, %d, 550.54.14, GPU-%d, 8.9\n", i, n, i)
	}
	program(t, "cat <<'E'\n"+lines.String()+"E\n")
	server := filepath.Join(t.TempDir(), "llama-server")
	script := "#!/bin/sh\necho 'version: 7000 (0123abc)'\necho 'Available devices:'\nfor d in " + usable + "; do echo \"  $d: NVIDIA GeForce RTX 4090 (24082 MiB, 23500 MiB free)\"; done\n"
	if err := os.WriteFile(server, []byte(script), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	t.Setenv(llamacpp.PathEnv, server)
	h.machine.look(t.Context())
}

func TestAutoPutsAModelWhereItFits(t *testing.T) {
	const plenty = 1 << 34
	for _, c := range []struct {
		name, usable string
		context      int
		parallel     int
		cards        []int // MiB free
		free         uint64
		want, says   string
	}{
		{"the card with most free", "CUDA0", 0, 0, []int{9000, 20000}, plenty, "cuda:1", "it goes to cuda:1 (NVIDIA GeForce RTX 4090), which has 20 GiB free"},
		{"both", "CUDA0", 8192, 64, []int{3000, 4000}, plenty, "cuda:0,cuda:1", "it is spread over cuda:0 and cuda:1"},
		{"partly", "CUDA0", 8192, 64, []int{1500, 1500}, plenty, "cuda:0,cuda:1", "some layers stay in the machine's memory"},
		{"by another name", "Vulkan0 Vulkan1", 0, 0, []int{9000, 20000}, plenty, "cuda:1", "it goes to cuda:1"},
		{"the one that is usable", "Vulkan0", 0, 0, []int{9000, 20000}, plenty, "cuda:0", "it goes to cuda:0"},
		{"none that is usable", "SYCL0", 0, 0, []int{9000, 20000}, plenty, "cpu", ""},
		{"no cards", "", 0, 0, nil, plenty, "cpu", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := roomy(t, &c.free)
			cards(t, h, c.usable, c.cards...)
			w, _ := h.bee(t, llamaCpp, auto)
			w.context, w.parallel = c.context, c.parallel
			var said story
			got, err := h.makeRoom(said.told(t.Context()), w)
			if err != nil || got.device != c.want || !strings.Contains(strings.Join(said.lines, "\n"), c.says) {
				t.Errorf("it goes to %q (%v), %q; want %s, %q", got.device, err, said.lines, c.want, c.says)
			}
		})
	}
}

func TestACardThatTheEngineCannotUseIsRefused(t *testing.T) {
	free := uint64(1 << 34)
	h := roomy(t, &free)
	cards(t, h, "SYCL0", 9000, 9000)
	w, _ := h.bee(t, llamaCpp, "cuda:1")
	_, err := h.makeRoom(t.Context(), w)
	wantCode(t, err, ops.CodeUnsupported, "the llama-server that is installed cannot use cuda:1 (NVIDIA GeForce RTX 4090): it is for sycl", "where llama.cpp's release has one for cuda, and `rbee engine install --from URL` an archive of your own")
}

func TestACardIsNotPromisedTwice(t *testing.T) {
	free := uint64(1)
	h := roomy(t, &free)
	cards(t, h, "CUDA0", 2048)
	w, _ := h.bee(t, llamaCpp, "cuda:0") // some 200 MiB
	placed := 0
	for range 9 {
		if _, err := h.place(t.Context(), w, func() bool { return false }, h.loading(t)); err == nil {
			placed++
		}
	}
	if placed < 2 || placed > 7 {
		t.Errorf("%d went onto a card that has room for a few", placed)
	}
}

func TestTheWorkerThatWasIdleForLongestGoesFirst(t *testing.T) {
	f := &fleet{members: map[string]*member{}}
	ago := func(id string, minutes int, change func(*member)) {
		m := &member{id: id, used: time.Now().Add(-time.Duration(minutes) * time.Minute), info: ops.Worker{ID: id, Device: "cpu", State: ops.WorkerReady}}
		if change != nil {
			change(m)
		}
		f.members[id] = m
	}
	ago("recent", 1, nil)
	ago("old", 20, nil)
	ago("oldest", 30, nil)
	ago("elsewhere", 40, func(m *member) { m.info.Device = "cuda:0" })
	ago("busy", 90, func(m *member) { m.info.Running = 1 })
	ago("given", 90, func(m *member) { m.given = 1 })
	ago("loading", 90, func(m *member) { m.info.State = ops.WorkerLoading })
	ago("broken", 25, func(m *member) { m.info.State, m.info.FailedStarts = ops.WorkerLoading, 2 })
	ago("failed", 90, func(m *member) { m.info.State = ops.WorkerFailed })
	here := spot{pools: []string{processor}}
	ago("pinned", 90, func(m *member) { m.info.Model = "kept" })
	may := func(i ops.Worker) bool { return i.Model != "kept" && here.shares(i.Device) }
	if m, wait := f.expired(may, 40*time.Minute); m != nil || wait <= 9*time.Minute || wait > 10*time.Minute {
		t.Errorf("after 40 minutes %v would go, else in %s", m, wait)
	}
	var order []string
	if m, _ := f.expired(may, 25*time.Minute); m != nil {
		order = append(order, m.id)
	}
	for m := f.spare(may); m != nil; m = f.spare(may) {
		order = append(order, m.id)
	}
	if got := strings.Join(order, " "); got != "oldest broken old recent" {
		t.Errorf("they go in the order %q", got)
	}
}

func TestAProjectorBesideAModelCounts(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	need := func(engine string) uint64 {
		if _, err := h.models.get("bee"); err != nil {
			t.Fatal(err)
		}
		shape := h.models.shape("bee")
		return shape.Need(runOf(engine, shape, inference.Spec{})).Total()
	}
	before, builtIn := need(llamaCpp), need(builtin)
	file := gguftest.Projector{Width: 128}.Bytes()
	h.models.put(t, "bee/mmproj-f16.gguf", file)
	if got := need(llamaCpp); got < before+uint64(len(file)) {
		t.Errorf("with it the model takes %d bytes, without %d", got, before)
	}
	if got := need(builtin); got != builtIn {
		t.Errorf("the builtin engine, which loads none, takes %d bytes, without it %d", got, builtIn)
	}
	h.models.put(t, "bee/mmproj-f32.gguf", file)
	if got := need(llamaCpp); got != before {
		t.Errorf("of two none is loaded, but it takes %d bytes and not %d", got, before)
	}
}

func TestAPartIsGivenRoomOrRefusedWithTheNumbers(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name   string
		usable string
		cards  []int  // MiB free
		free   uint64 // of the machine
		holds  uint64
		code   ops.Code
		says   string
	}{
		{name: "the machine has it", free: 8 * gib, holds: 7 * gib},
		{name: "the cards have it", usable: "CUDA0", cards: []int{9000, 9000}, free: gib, holds: 15 * gib},
		{name: "nobody can say", free: 1},
		{
			name: "the machine has it not", free: 2 * gib, holds: 7 * gib, code: ops.CodeUnavailable,
			says: "the part of the model that hive gpu2 is to hold takes about 7.0 GiB, and of the 64 GiB that it has, 2.0 GiB are free for it",
		},
		{name: "the cards have it not", usable: "CUDA0", cards: []int{9000}, free: 60 * gib, holds: 15 * gib, code: ops.CodeUnavailable, says: "takes about 15 GiB"},
		{name: "the cards cannot be used", usable: "SYCL0", cards: []int{9000}, free: 60 * gib, holds: 15 * gib},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := roomy(t, &c.free)
			h.Name = "gpu2"
			cards(t, h, c.usable, c.cards...)
			_, err := h.makeRoom(t.Context(), want{engine: ops.EngineRPC, device: auto, partOf: "gpu1/w", partBytes: c.holds})
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, err, c.code, c.says, "--share")
		})
	}
}

func TestPartsAreNotPromisedTheSameMemory(t *testing.T) {
	free := uint64(8 << 30)
	h := roomy(t, &free)
	h.machine.lookQuickly(t.Context())
	part := want{engine: ops.EngineRPC, device: auto, partOf: "gpu1/w", partBytes: 3 << 30}
	for i, want := range []ops.Code{"", "", ops.CodeUnavailable} {
		if _, err := h.place(t.Context(), part, func() bool { return false }, h.loading(t)); ops.CodeOf(err) != want {
			t.Errorf("part %d: %v, want %q", i, err, want)
		}
	}
}

func TestAWorkerOfADividedModelTakesItsShare(t *testing.T) {
	divided := ops.Worker{Parts: []string{"gpu2", "gpu3", "gpu4"}}
	for _, c := range []struct {
		name  string
		i     ops.Worker
		stays float64
		want  float64
	}{
		{"a whole one", ops.Worker{}, 0, 1},
		{"one whose share is known", divided, 0.6, 0.6},
		{"one that the hive has found", divided, 0, 0.25},
	} {
		if got := (&member{want: want{stays: c.stays}}).ownShare(c.i); got != c.want {
			t.Errorf("%s takes %v, want %v", c.name, got, c.want)
		}
	}
}

func TestThoseThatAreBusyAreNamedWhereTheyLeaveNoRoom(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	h.Name = "gpu1"
	w, takes := h.bee(t, builtin, processor)
	free = takes
	if _, err := h.place(t.Context(), w, func() bool { return false }, h.loading(t)); err != nil {
		t.Fatal(err)
	}
	_, err := h.makeRoom(t.Context(), w)
	wantCode(t, err, ops.CodeBusy, "; busy workers are not unloaded: w0 (bee)")
	if err := h.models.pin("bee", true); err != nil {
		t.Fatal(err)
	}
	_, err = h.makeRoom(t.Context(), w)
	wantCode(t, err, ops.CodeUnavailable, "; pinned models are not unloaded: bee (`rbee model unpin bee --hive gpu1` changes that)")
	h.Options.Memory = func(context.Context) (uint64, uint64) { return 1 << 20, 0 }
	if _, err = h.makeRoom(t.Context(), w); strings.Contains(ops.AsError(err).Hint, "not unloaded") {
		t.Errorf("of one that is larger than the memory: %v", ops.AsError(err).Hint)
	}
}

func TestOneThatIsBusyIsNotRetiredAsIdle(t *testing.T) {
	var free uint64
	h := roomy(t, &free)
	w, takes := h.bee(t, builtin, processor)
	free = takes
	m, err := h.place(t.Context(), w, func() bool { return false }, h.loading(t))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, h.retireIdle(t.Context(), m), ops.CodeConflict, "worker w0 stays: it has something to do")
}
