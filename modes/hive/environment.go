package hive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"sync"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// environment is what downloads have as their environment: that of the process,
// and before it what was given through the queen. That lies in a file which only
// the account can read, and counts at once.
type environment struct {
	path string
	mu   sync.Mutex // held by who changes the file
}

// get is the value of a variable, or "".
func (e *environment) get(name string) string {
	given, err := e.given()
	if value := given[name]; err == nil && value != "" {
		return value
	}
	return os.Getenv(name)
}

// given is what the file holds.
func (e *environment) given() (map[string]string, error) {
	set := map[string]string{}
	text, err := os.ReadFile(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &set)
	}
	if err != nil {
		return nil, fmt.Errorf("read the hive's environment: %w", err)
	}
	return set, nil
}

// give changes what the file holds; an empty value is taken out.
func (e *environment) give(change map[string]string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	set, err := e.given()
	if err != nil {
		return err
	}
	maps.Copy(set, change)
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" })
	text, err := json.MarshalIndent(set, "", "  ")
	if err == nil {
		err = renameio.WriteFile(e.path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the hive's environment: %w", err)
	}
	return nil
}

// tell lists the variables that are set, without what is secret of them, and a
// token that downloads find elsewhere.
func (e *environment) tell(hive string) (ops.Variables, error) {
	given, err := e.given()
	if err != nil {
		return ops.Variables{}, err
	}
	all := ops.Variables{HiveID: hive, Variables: []ops.Variable{}}
	for _, name := range ops.VariableNames() {
		v := ops.Variable{Name: name, Value: fetch.Shown(e.get(name)), Given: given[name] != ""}
		if v.Value == "" {
			continue
		}
		if name == ops.SecretVariable {
			v.Value = ""
		}
		all.Variables = append(all.Variables, v)
	}
	if token, from := fetch.Token(e.get); token != "" && from != ops.SecretVariable {
		all.Variables = append(all.Variables, ops.Variable{Name: ops.SecretVariable, File: from})
	}
	return all, nil
}

// serveEnvironment answers POST [ops.EnvironmentPath].
func (h *Hive) serveEnvironment(w http.ResponseWriter, r *http.Request) {
	var body ops.Environment
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&body) != nil { // whose text might quote a secret
		refuse(w, ops.Invalid("", "the body is not an environment"))
		return
	}
	err := body.Validate()
	if err == nil && len(body.Set) > 0 {
		err = h.environment.give(body.Set)
	}
	var all ops.Variables
	if err == nil {
		all, err = h.environment.tell(h.Name)
	}
	if err != nil {
		refuse(w, ops.AsError(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(all); err != nil {
		h.Log.Debug().Err(err).Msg("an answer about the environment did not arrive")
	}
}
