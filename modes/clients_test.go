package modes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// clientsEnv names the folder that testdata/clients/install.sh makes.
const clientsEnv = "RBEE_CLIENTS"

// TestTheOfficialClientsOfNode runs the scripts of testdata/clients, each with
// one vendor's own client, against a queen with real workers. Without the
// clients it is skipped, but in CI it fails.
func TestTheOfficialClientsOfNode(t *testing.T) {
	t.Parallel() // it waits
	folder := os.Getenv(clientsEnv)
	if folder == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs %s: see testdata/clients/install.sh", clientsEnv)
		}
		t.Skipf("no clients to run: set %s, see testdata/clients/install.sh", clientsEnv)
	}
	p := newPlace(t)
	p.withToolbee()
	work := t.TempDir() // scripts find the packages beside themselves
	if err := os.Symlink(filepath.Join(folder, "node_modules"), filepath.Join(work, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openai.mjs", "anthropic.mjs", "ollama.mjs"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "testdata", "clients", name))
			if err == nil {
				err = os.WriteFile(filepath.Join(work, name), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "node", name, "http://"+p.record("queen").Address)
			cmd.Dir = work
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
