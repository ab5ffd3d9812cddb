package modes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	bits "encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// bulky is a model file of about size bytes, all of which are different.
func bulky(size int, seed uint64) []byte {
	data := make([]byte, size/8*8)
	for i := 0; i < len(data); i += 8 {
		bits.LittleEndian.PutUint64(data[i:], uint64(i)*0x9e3779b97f4a7c15+seed)
	}
	var b gguftest.Builder
	b.Set("general.architecture", "llama")
	b.Add("weights", gguf.F32, data, uint64(len(data)/4))
	return b.Bytes()
}

// two is a place whose queen reaches two other machines, gpu1 and gpu2.
type two struct {
	*far
	second  *sshtest.Server
	account string // the second one's home folder
}

func newTwo(t *testing.T, o sshtest.Options, env ...string) *two {
	t.Helper()
	f := newFar(t, sshtest.Options{Env: slices.Clone(env)}, env...)
	f.install()
	text, err := os.ReadFile(filepath.Join(f.mine, ".ssh", "id_ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	o.AuthorizedKeys, o.Home = []ssh.PublicKey{key.PublicKey()}, filepath.Join(t.TempDir(), "second")
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	o.Env = append(o.Env, "XDG_RUNTIME_DIR="+o.Home)
	s := sshtest.New(t, o)
	sshtest.Write(t, f.mine, "known_hosts", f.server.KnownHosts()+"\n"+s.KnownHosts())
	f.rbee("hive", "install", "--host", "alice@"+s.Addr, "--name", "gpu2")
	t.Cleanup(func() { f.rbee("hive", "uninstall", "gpu2") })
	return &two{far: f, second: s, account: o.Home}
}

// models is the models' folder of a hive.
func (w *two) models(hive string) string {
	switch hive {
	case "gpu1":
		return filepath.Join(w.far.account, ".cache/rbee/models")
	case "gpu2":
		return filepath.Join(w.account, ".cache/rbee/models")
	}
	return filepath.Join(w.home, "cache/models")
}

// put puts a model's files onto a hive as a person would.
func (w *two) put(hive, model string, files map[string][]byte) {
	w.t.Helper()
	dir := filepath.Join(w.models(hive), model)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// wantFiles checks that a model's files are whole on a hive, and nothing else is.
func (w *two) wantFiles(hive, model string, files map[string][]byte) {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.models(hive), model))
	if err != nil || len(entries) != len(files)+1 { // the manifest
		w.t.Errorf("on %s there is %v, %v", hive, entries, err)
	}
	for name, data := range files {
		if got, err := os.ReadFile(filepath.Join(w.models(hive), model, name)); err != nil || !bytes.Equal(got, data) {
			w.t.Errorf("%s on %s: %d bytes that differ, or %v", name, hive, len(got), err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(w.models(hive), ".partial-*")); err != nil || len(left) > 0 {
		w.t.Errorf("left on %s: %v, %v", hive, left, err)
	}
}

// queen is a client of the queen's.
func (p *place) queen() *transport.Client {
	p.t.Helper()
	token, err := os.ReadFile(filepath.Join(p.home, "state", "queen.token"))
	if err != nil {
		p.t.Fatal(err)
	}
	c := transport.New(transport.Options{BaseURL: "http://" + p.record("queen").Address, Token: strings.TrimSpace(string(token))})
	p.t.Cleanup(c.Close)
	return c
}

func TestAModelGoesFromHiveToHive(t *testing.T) {
	t.Parallel()                                                         // it waits
	w := newTwo(t, sshtest.Options{RefuseSockets: ssh.ConnectionFailed}) // one of them through the pipe
	whole := map[string][]byte{"weights.gguf": bulky(20<<20, 1)}
	split := map[string][]byte{
		"m-00001-of-00002.gguf": bulky(3<<20, 2), "m-00002-of-00002.gguf": bulky(2<<20, 3), "mmproj-m-F16.gguf": bulky(1<<20, 4),
	}
	w.put("gpu1", "whole", whole)
	w.put("localhost", "split", split)
	for _, way := range []struct {
		model, from, to string
		files           map[string][]byte
	}{
		{"whole", "gpu1", "gpu2", whole},
		{"whole", "gpu2", "localhost", whole},
		{"split", "localhost", "gpu2", split},
		{"split", "gpu2", "gpu1", split},
	} {
		out := w.rbee("model", "copy", way.model, "--from", way.from, "--to", way.to, "-o", "json")
		var m ops.Model
		if err := json.Unmarshal([]byte(out), &m); err != nil || m.HiveID != way.to || m.ID != way.model || m.Error != "" {
			t.Errorf("%s to %s: %s, %v", way.from, way.to, out, err)
		}
		if way.model == "whole" && m.SHA256 != fmt.Sprintf("%x", sha256.Sum256(whole["weights.gguf"])) {
			t.Errorf("its sum is %s", m.SHA256)
		}
		w.wantFiles(way.to, way.model, way.files)
	}
	w.rbee("model", "alias", "again", "whole")
	if said, err := w.command("model", "copy", "again", "--to", "gpu2", "--from", "gpu1").CombinedOutput(); err != nil || !strings.Contains(string(said), "is here already") {
		t.Errorf("by an alias: %v: %s", err, said)
	}
	if said, err := w.command("model", "copy", "whole", "--to", "gpu2", "--from", "gpu1").CombinedOutput(); err != nil || !strings.Contains(string(said), "is here already") {
		t.Errorf("once more: %v: %s", err, said)
	}
	w.put("gpu1", "nest/a", map[string][]byte{"nested.gguf": testdata.Tinybee()})
	w.rbee("hive", "status", "gpu1") // which asks it
	_, said := w.refused("worker", "spawn", "nest", "--hive", "gpu2")
	nested := "its GGUF files lie deeper than in a folder right in the models' folder\n      move " + filepath.Join(w.models("gpu1"), "nest/a") + " into"
	if !strings.Contains(said, "the model nest on gpu1 cannot be used: "+nested) {
		t.Errorf("with a model that is no use there: %s", said)
	}
	for _, bad := range [][2]string{
		{"nest --from gpu1 --to gpu2", "the model nest cannot be used: " + nested},
		{"nest --to gpu2", "the model nest on gpu1 cannot be used: " + nested},
		{"none --from gpu1 --to gpu2", `there is no model "none" on hive gpu1`},
		{"none --to gpu2", `no other hive that is up has a model "none"`},
		{"whole --from gpu3 --to gpu2", `there is no hive "gpu3"`},
		{"whole --from gpu1 --to gpu3", `there is no hive "gpu3"`},
		{"whole --from gpu1 --to gpu1", "must be another hive"},
		{"split --from gpu1 --to gpu2 --name whole", "there is a model whole already"},
	} {
		if _, said := w.refused(append([]string{"model", "copy"}, strings.Fields(bad[0])...)...); !strings.Contains(said, bad[1]) {
			t.Errorf("%s: %s", bad[0], said)
		}
	}
}

func TestAHiveThatIsToUseAModelGetsItFromTheOneThatHasIt(t *testing.T) {
	t.Parallel() // it waits
	w := newTwo(t, sshtest.Options{})
	w.put("gpu1", "story", map[string][]byte{"s.gguf": slow()})
	want := w.rbee("infer", "-q", "--hive", "gpu1", "--model", "story", "-n", "5", "--seed", "1", "Once")
	cmd := w.command("infer", "--hive", "gpu2", "--model", "story", "-n", "5", "--seed", "1", "Once")
	var said bytes.Buffer
	cmd.Stderr = &said
	if got, err := cmd.Output(); err != nil || string(got) != want || !strings.Contains(said.String(), "story is on hive gpu1 and not on hive gpu2") {
		t.Errorf("%v: it says %q, not %q: %s", err, got, want, said.String())
	}
	w.rbee("worker", "spawn", "story", "--hive", "localhost")
	w.wantFiles("localhost", "story", map[string][]byte{"s.gguf": slow()})
}

// TestAModelThatAHiveHasNoRoomForIsNotBroughtThere: what it takes is in its file, which
// the hive reads the beginning of where that is.
func TestAModelThatAHiveHasNoRoomForIsNotBroughtThere(t *testing.T) {
	w := newTwo(t, sshtest.Options{})
	long := gguftest.Model{Type: gguf.Q8_0, Layers: 4, Width: 512, Heads: 8, KVHeads: 8, FFN: 2048, Context: 1 << 20}.Bytes()
	w.put("gpu1", "long", map[string][]byte{"l.gguf": long})
	w.rbee("hive", "status", "gpu1") // which asks it: the queen knows of the model then
	_, said := w.refused("worker", "spawn", "long", "--hive", "gpu2", "--engine", "builtin", "--parallel", "64", "--context-length", "1048576")
	for _, want := range []string{"long takes about 1.0 TiB", "1.0 TiB for 64 requests of 1048576 tokens", "that hive gpu2 has", "`rbee worker spawn long --hive gpu2 --engine builtin --parallel 64 --context-length "} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if strings.Contains(said, "bringing") {
		t.Errorf("it is brought: %s", said)
	}
	if there, err := filepath.Glob(filepath.Join(w.models("gpu2"), "*long*")); err != nil || len(there) > 0 {
		t.Errorf("on gpu2 there is %v, %v", there, err)
	}
	w.rbee("worker", "spawn", "long", "--hive", "gpu2", "--engine", "builtin", "--context-length", "256")
	w.wantFiles("gpu2", "long", map[string][]byte{"l.gguf": long})
}

// TestAModelThatAHiveCannotRunIsNotBroughtThere: what its engine makes of it, the hive
// that has it tells.
func TestAModelThatAHiveCannotRunIsNotBroughtThere(t *testing.T) {
	w := newTwo(t, sshtest.Options{})
	w.put("gpu1", "strange", map[string][]byte{"s.gguf": gguftest.Changed(testdata.Tinybee(), map[string]any{"general.architecture": "mamba"})})
	w.rbee("hive", "status", "gpu1")
	for _, args := range [][]string{{"worker", "spawn", "strange", "--hive", "gpu2"}, {"infer", "-m", "strange", "--hive", "gpu2", "hi"}} {
		_, said := w.refused(args...)
		if !strings.Contains(said, `its architecture is "mamba"`) || !strings.Contains(said, "`rbee engine install --hive gpu2` brings llama.cpp") || strings.Contains(said, "bringing") {
			t.Errorf("%s: %s", args, said)
		}
	}
	if there, err := filepath.Glob(filepath.Join(w.models("gpu2"), "*strange*")); err != nil || len(there) > 0 {
		t.Errorf("on gpu2 there is %v, %v", there, err)
	}
}

// repository serves the repository bees/big with one file, until it is told to stall.
type repository struct {
	*httptest.Server
	stalls atomic.Bool
}

func newRepository(t *testing.T, data []byte) *repository {
	t.Helper()
	h := &repository{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			_, _ = fmt.Fprintf(w, `[{"type":"file","path":"big-Q4_K_M.gguf","size":%d,"lfs":{"oid":"%x"}}]`, len(data), sha256.Sum256(data))
			return
		}
		if h.stalls.Load() {
			<-r.Context().Done()
			return
		}
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(h.Close)
	return h
}

func TestADownloadComesFromTheHiveThatHasItWhereThatIsFaster(t *testing.T) {
	t.Parallel() // it waits
	data := bulky(30<<20, 7)
	files := map[string][]byte{"model.gguf": data}
	h := newRepository(t, data)
	w := newTwo(t, sshtest.Options{Env: []string{"HF_ENDPOINT=http://127.0.0.1:1"}}, "HF_ENDPOINT="+h.URL)
	w.rbee("model", "download", "hf:bees/big")
	h.stalls.Store(true)
	for _, c := range [][2]string{ // in this order: the second may have it from the first
		{"gpu1", "hive localhost has it, and brings the first 1.0 MiB sooner than its source"},
		{"gpu2", "the Hub is not reached"},
	} {
		hive, says := c[0], c[1]
		said, err := w.command("model", "download", "--hive", hive, "hf:bees/big:Q4_K_M").CombinedOutput() // which its tensors are not
		if err != nil || !strings.Contains(string(said), says) || strings.Count(string(said), "from hive") != 1 {
			t.Errorf("%s: %v: %s", hive, err, said)
		}
		w.wantFiles(hive, "big-Q4_K_M", files)
	}
	if said, err := w.command("model", "download", "--hive", "gpu2", "hf:bees/big:Q4_K_M").CombinedOutput(); err != nil || !strings.Contains(string(said), "is here already") || strings.Contains(string(said), "taking that") {
		t.Errorf("once it is there: %v: %s", err, said)
	}
	var m ops.Model
	if err := json.Unmarshal([]byte(w.rbee("model", "get", "big-Q4_K_M", "--hive", "gpu2", "-o", "json")), &m); err != nil || m.Source != "hf:bees/big:big-Q4_K_M.gguf" {
		t.Errorf("it is from %q, %v", m.Source, err)
	}
	if list := w.rbee("model", "list"); !strings.Contains(list, "gpu1, gpu2, localhost") {
		t.Errorf("listed as %s", list)
	}
}

// TestACopyOfADamagedFileSaysWhereItIsDamaged: nothing of it is kept where it was to go.
func TestACopyOfADamagedFileSaysWhereItIsDamaged(t *testing.T) {
	data := bulky(3<<20, 8)
	w := newTwo(t, sshtest.Options{}, "HF_ENDPOINT="+newRepository(t, data).URL)
	w.rbee("model", "download", "hf:bees/big")
	data = bytes.Clone(data)
	data[len(data)-9] ^= 1
	if err := os.WriteFile(filepath.Join(w.models("localhost"), "big-Q4_K_M", "model.gguf"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, said := w.refused("model", "copy", "big-Q4_K_M", "--from", "localhost", "--to", "gpu1")
	for _, want := range []string{"the model big-Q4_K_M on hive localhost is damaged: model.gguf has changed on its disk", "`rbee model delete big-Q4_K_M` removes it"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if there, err := filepath.Glob(filepath.Join(w.models("gpu1"), "*big*")); err != nil || len(there) > 0 {
		t.Errorf("on gpu1 there is %v, %v", there, err)
	}
}

func TestAReferenceIsAnsweredByAHiveThatGetsTheModelFromAnother(t *testing.T) {
	t.Parallel() // it waits
	h := newRepository(t, testdata.Tinybee())
	w := newTwo(t, sshtest.Options{Env: []string{"HF_ENDPOINT=http://127.0.0.1:1"}}, "HF_ENDPOINT="+h.URL)
	w.rbee("model", "download", "hf:bees/big")
	said, err := w.command("infer", "--hive", "gpu2", "--model", "hf:bees/big:Q4_K_M", "-n", "3", "hi").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "big-Q4_K_M is on hive localhost and not on hive gpu2: bringing it there") {
		t.Errorf("%v: %s", err, said)
	}
}

// copying has the queen copy the model big from gpu1 to gpu2, and calls at when
// the first bytes are there.
func (w *two) copying(ctx context.Context, at func()) error {
	w.t.Helper()
	var once sync.Once
	_, err := w.queen().Do(ctx, ops.ModelCopy{Model: "big", From: "gpu1", To: "gpu2"}, "", func(r transport.Received) error {
		if p, ok := r.Event.(ops.ProgressEvent); ok && p.Done > 0 {
			once.Do(at)
		}
		return nil
	})
	return err
}

func TestACopyGoesOnAfterWhatBreaksOnItsWay(t *testing.T) {
	t.Parallel() // it waits
	w := newTwo(t, sshtest.Options{})
	files := map[string][]byte{"big.gguf": bulky(150<<20, 5)}
	w.put("gpu1", "big", files)
	for name, do := range map[string]func(){
		"the way to the hive that has it is cut":  w.server.Drop,
		"the way to the hive that gets it is cut": w.second.Drop,
		"the hive that has it is killed":          func() { w.kill(w.hive("gpu1").PID) },
		"the hive that gets it is killed":         func() { w.kill(w.hive("gpu2").PID) },
		"the queen begins again":                  func() { w.rbee("queen", "restart") },
		"the queen is killed":                     func() { w.kill(w.record("queen").PID); w.rbee("status") },
	} {
		t.Run(name, func(t *testing.T) {
			w := &two{far: w.far, second: w.second, account: w.account}
			w.t = t
			var doing sync.WaitGroup
			if err := w.copying(t.Context(), func() { doing.Go(do) }); err != nil && !strings.Contains(name, "queen") {
				t.Error(err)
			}
			doing.Wait()
			if strings.Contains(name, "queen") { // whose address may be another one now
				w.rbee("model", "copy", "big", "--to", "gpu2")
			}
			w.wantFiles("gpu2", "big", files)
			w.rbee("model", "delete", "big", "--hive", "gpu2")
		})
	}
}

// TestACopyFromAHiveThatIsStoppedEndsAndSaysSo: nobody waits for one that is not there
// again by itself, and what came is kept.
func TestACopyFromAHiveThatIsStoppedEndsAndSaysSo(t *testing.T) {
	t.Parallel() // it waits
	w := newTwo(t, sshtest.Options{})
	files := map[string][]byte{"big.gguf": bulky(100<<20, 9)}
	w.put("gpu1", "big", files)
	w.rbee("hive", "status", "gpu1")
	said := ""
	var doing sync.WaitGroup
	var once sync.Once
	_, err := w.queen().Do(t.Context(), ops.ModelCopy{Model: "big", From: "gpu1", To: "gpu2"}, "", func(r transport.Received) error {
		if e, ok := r.Event.(ops.ProgressEvent); ok && e.Done > 0 {
			once.Do(func() {
				w.second.Freeze() // so that it is not whole before
				doing.Go(func() {
					defer w.second.Thaw()
					w.rbee("hive", "stop", "gpu1")
				})
			})
		}
		if e, ok := r.Event.(ops.NarrationEvent); ok {
			said += e.Human + "\n"
		}
		return nil
	})
	doing.Wait()
	if e := ops.AsError(err); err == nil || e.Code != ops.CodeUnavailable || e.Message != "the hive gpu1 is stopped" || !strings.Contains(e.Hint, "`rbee hive start gpu1` starts it") {
		t.Errorf("it ends with %+v", e)
	}
	if strings.Contains(said, "hive://") || strings.Contains(said, "is stopped: trying again") || !strings.Contains(said, "are kept for a week") {
		t.Errorf("it says %s", said)
	}
	w.rbee("hive", "start", "gpu1")
	w.rbee("model", "copy", "big", "--from", "gpu1", "--to", "gpu2")
	w.wantFiles("gpu2", "big", files)
}

func TestACopyIsMadeOnceAndEndsWhenItIsCancelled(t *testing.T) {
	t.Parallel() // it waits
	w := newTwo(t, sshtest.Options{})
	files := map[string][]byte{"big.gguf": bulky(100<<20, 6)}
	w.put("gpu1", "big", files)
	w.rbee("hive", "status", "gpu1") // whose model was copied in a moment ago
	ctx, cancel := context.WithCancelCause(t.Context())
	err := w.copying(ctx, func() {
		_, err := transport.Call(t.Context(), w.queen(), ops.ModelDelete{OnHive: ops.OnHive{HiveID: "gpu1"}, ID: "big"})
		if ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), "big is being copied to hive gpu2") || !strings.Contains(ops.AsError(err).Hint, "rbee job cancel ") {
			t.Errorf("deleted under the copy: %v (hint %q)", err, ops.AsError(err).Hint)
		}
		cancel(ops.Errorf(ops.CodeCancelled, "enough"))
	})
	if ops.CodeOf(err) != ops.CodeCancelled {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.models("gpu2"), "big")); !os.IsNotExist(err) {
		t.Errorf("a cancelled copy has a name: %v", err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	said := ""
	for range 3 {
		all.Go(func() {
			out, err := w.command("model", "copy", "big", "--to", "gpu2").CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			said += string(out)
		})
	}
	all.Wait()
	if n := strings.Count(said, "bringing the model"); n != 1 || !strings.Contains(said, "of it are here already: going on") {
		t.Errorf("brought %d times: %s", n, said)
	}
	w.wantFiles("gpu2", "big", files)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) { // soon nobody copies it any more
		out, err := w.command("model", "delete", "big", "--hive", "gpu1").CombinedOutput()
		if err == nil {
			break
		}
		if !strings.Contains(string(out), "is being copied") || time.Now().After(end) {
			t.Fatalf("%v: %s", err, out)
		}
	}
}
