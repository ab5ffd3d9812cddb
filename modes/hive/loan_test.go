package hive

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// held is an answer whose reader takes nothing until it is told to.
type held struct {
	*httptest.ResponseRecorder
	begun, goOn chan struct{}
	once        sync.Once
}

// Write waits.
func (h *held) Write(p []byte) (int, error) {
	h.once.Do(func() {
		close(h.begun)
		<-h.goOn
	})
	return h.ResponseRecorder.Write(p)
}

func TestAModelThatIsBeingCopiedIsNotDeletedAndTheCopyIsNamed(t *testing.T) {
	m := newModels(t)
	m.put(t, "bee/model.gguf", testdata.Tinybee())
	begin := func(query string) (finish func()) {
		h := &held{ResponseRecorder: httptest.NewRecorder(), begun: make(chan struct{}), goOn: make(chan struct{})}
		over := make(chan struct{})
		go func() {
			defer close(over)
			m.serveFiles(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+ops.FilesPath+"bee/model.gguf"+query, nil))
		}()
		<-h.begun
		return func() {
			close(h.goOn)
			<-over
		}
	}
	refused := func(says, hint string) {
		t.Helper()
		err := m.unlent("bee")
		if ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), says) || !strings.Contains(ops.AsError(err).Hint, hint) {
			t.Errorf("got %v (hint %q)", err, ops.AsError(err).Hint)
		}
	}
	if err := m.unlent("bee"); err != nil {
		t.Errorf("before: %v", err)
	}
	over := func(query string) {
		m.serveFiles(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+ops.FilesPath+"bee"+query+"&over=1", nil))
	}
	first, second, third := begin("?for=gpu2&job=JOB4711"), begin("?for=gpu3"), begin("?for=gpu2&job=JOB4711")
	refused("the model bee is being copied to hive gpu2", "`rbee job cancel JOB4711` ends it")
	first()
	third()
	refused("to hive gpu2", "`rbee job cancel JOB4711` ends it") // which may ask for more
	over("?for=gpu2&job=JOB4711")
	refused("to hive gpu3", "`rbee job list` shows the job")
	second()
	over("?for=gpu4")
	refused("to hive gpu3", "`rbee job list` shows the job")
	over("?for=gpu3")
	if err := m.unlent("bee"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestALoanLapsesOfWhichNothingIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &models{lent: map[string][]*loan{}}
		m.lend("bee", "gpu2", "JOB4711")()
		over := m.lend("bee", "gpu3", "")
		time.Sleep(loanLapses)
		if err := m.unlent("bee"); err == nil || !strings.Contains(err.Error(), "to hive gpu3") {
			t.Errorf("while one is read: %v", err)
		}
		over()
		m.lend("bee", "gpu3", "")()
		if n := len(m.lent["bee"]); n != 1 {
			t.Errorf("%d are remembered", n)
		}
		time.Sleep(loanLapses - 1)
		if err := m.unlent("bee"); err == nil {
			t.Error("it lapses too early")
		}
		time.Sleep(time.Nanosecond)
		if err := m.unlent("bee"); err != nil {
			t.Error(err)
		}
	})
}
