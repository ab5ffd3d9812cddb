package modes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAModelThatIsCutShortWhileAWorkerHasItIsToldOf: its weights are mapped.
func TestAModelThatIsCutShortWhileAWorkerHasItIsToldOf(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-m", "tinybee", "-n", "1", "hi")
	worker := p.workers()[0].ID
	file := filepath.Join(p.home, "cache", "models", "tinybee", "model.gguf")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 100_000); err != nil {
		t.Fatal(err)
	}
	_, said := p.fails(1, "infer", "--worker", worker, "-n", "20", "Once upon a time") // the hive may know that the model is no more
	says(t, said, "a part of its model's file is gone", "put the whole file in its place", "its log was")
	_, said = p.fails(1, "infer", "-m", "tinybee", "-n", "1", "hi")
	says(t, said, "cannot be used")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	p.rbee("infer", "-m", "tinybee", "-n", "1", "hi")
}

// TestFilesThatADeadMachineLeftDamagedAreNoObstacle: the power has gone while they
// were written. The next command works, and nothing is left when it is ended.
func TestFilesThatADeadMachineLeftDamagedAreNoObstacle(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	state := func(name ...string) string { return filepath.Join(append([]string{p.home, "state"}, name...)...) }
	noise := bytes.Repeat([]byte{0, 0xff, 'x', '\n'}, 1000)
	for _, damage := range []map[string][]byte{
		{"queen.pid": noise, "hive.pid": []byte(`{"pid":"x"}`)},
		{"queen.pid": nil, "hive.pid": nil, "queen.token": nil},
		{"jobs/queen/AAAAAAAAAAAAAAAAAAAAAAAAAA.log": noise, "jobs/queen/BBBBBBBBBBBBBBBBBBBBBBBBBB.log": nil, "jobs/hive/CCCCCCCCCCCCCCCCCCCCCCCCCC.log": noise[:1]},
		{"hive.environment": noise, "queen.starting": noise},
	} {
		p.kill(p.record("queen").PID)
		p.kill(p.record("hive").PID)
		for name, text := range damage {
			if err := os.WriteFile(state(name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out := p.rbee("infer", "-n", "3", "--temperature", "0", "hi"); strings.TrimSpace(out) == "" {
			t.Errorf("with %d files damaged there is no text", len(damage))
		}
		if n := len(p.workers()); n != 1 {
			t.Errorf("there are %d workers, where the one that ran should have been kept", n)
		}
	}
}
