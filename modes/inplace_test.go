package modes_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWhatIsWhereTheHivesSocketBelongsIsNamed: each command says what it is and that
// it has to go, and lists do not say that there is nothing.
func TestWhatIsWhereTheHivesSocketBelongsIsNamed(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	socket := filepath.Join(p.home, "state", "hive.sock")
	for what, put := range map[string]func() error{
		"file":   func() error { return os.WriteFile(socket, []byte("mine"), 0o600) },
		"folder": func() error { return os.Mkdir(socket, 0o700) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		in, remove := socket+": a "+what+" is where the socket belongs", "remove the "+what+" "+socket
		for _, command := range [][]string{{"hive", "start"}, {"infer", "-n", "1", "hi"}, {"infer", "-m", "tinybee", "-n", "1", "hi"}} {
			_, said := p.fails(1, command...)
			says(t, said, in, remove)
		}
		for _, list := range []string{"model", "worker"} {
			out, err := p.command(list, "list").CombinedOutput()
			if err != nil {
				t.Error(err)
			}
			says(t, string(out), in, remove, "no "+list+"s are known of: localhost does not answer")
		}
		says(t, p.rbee("hive", "list"), in, remove)
		if err := os.Remove(socket); err != nil {
			t.Fatal(err)
		}
	}
	p.rbee("infer", "-n", "1", "hi")
}

// TestAHiveWhoseSocketIsRemovedMakesAnother: whoever comes next finds the same hive.
func TestAHiveWhoseSocketIsRemovedMakesAnother(t *testing.T) {
	p := newPlace(t)
	p.rbee("infer", "-n", "1", "hi")
	hive, worker := p.record("hive"), p.workers()[0]
	for range 2 {
		if err := os.Remove(filepath.Join(p.home, "state", "hive.sock")); err != nil {
			t.Fatal(err)
		}
		p.rbee("infer", "-n", "1", "hi")
		p.rbee("hive", "status")
	}
	if now, kept := p.record("hive"), p.workers()[0]; now.PID != hive.PID || kept.ID != worker.ID || kept.PID != worker.PID {
		t.Errorf("the hive is %+v, was %+v; the worker %+v, was %+v", now, hive, kept, worker)
	}
}
