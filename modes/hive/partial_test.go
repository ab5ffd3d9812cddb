package hive

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// begins has 60 of 100 bytes of the model called id come from source.
func (m *models) begins(t *testing.T, id, source string) {
	t.Helper()
	folder, err := m.partialFolder(t.Context(), id, source, 100)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "model.gguf.state"), []byte(`{"size_bytes":100,"have":[{"from":0,"to":60}]}`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsBegunIsGoneOnWithByTheCommandThatBeganIt(t *testing.T) {
	m := newModels(t)
	m.begins(t, "tiny", "hf:bees/tiny:tiny-Q8_0.gguf")
	m.begins(t, "fat", "hive:gpu1/fat")
	m.begins(t, "mine", "hive:gpu1/fat")
	m.begins(t, "both", "https://host/x.gguf?x=1&y=$(id)'s")
	m.begins(t, "mute", "https://me:xxxxx@host/x.gguf")
	for id, want := range map[string]string{
		"tiny": "`rbee model download hf:bees/tiny:tiny-Q8_0.gguf --name tiny` goes on from there",
		"fat":  "`rbee model copy fat --from gpu1 --to localhost` goes on from there",
		"mine": "`rbee model copy fat --from gpu1 --to localhost --name mine` goes on from there",
		"both": "`rbee model download 'https://host/x.gguf?x=1&y=$(id)'\"'\"'s' --name both` goes on from there",
		"mute": "`rbee model download https://me:xxxxx@host/x.gguf --name mute`, with its password or token in place of xxxxx, goes on from there",
	} {
		if got, ok := m.other(id); !ok || !strings.HasPrefix(got.Hint, want) {
			t.Errorf("%s: %+v", id, got)
		}
	}
}

func TestAURLAsItIsShownIsNotDownloadedFrom(t *testing.T) {
	m := newModels(t)
	m.begins(t, "x", "https://me:xxxxx@127.0.0.1:1/x.gguf")
	_, err := m.download(t.Context(), "https://me:xxxxx@127.0.0.1:1/x.gguf", "")
	wantCode(t, err, ops.CodeInvalid, "xxxxx stands for a password", "in place of xxxxx")
	if got, ok := m.other("x"); !ok || got.Size != 60 {
		t.Errorf("what had come is %+v", got)
	}
}

func TestWhatHasComeIsToldFromTheWhole(t *testing.T) {
	for want, n := range map[string][2]int64{
		"61.7 MiB of 61.8 MiB": {64_700_000, 64_800_000}, "60 B of 100 B": {60, 100}, "60 B": {60, 0}, "62 MiB of 62 MiB": {64_800_000, 64_800_000},
	} {
		if got := of(n[0], n[1]); got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
	}
}

func TestAnotherHiveHearsWhyAModelCannotBeHad(t *testing.T) {
	m := newModels(t)
	m.begins(t, "tiny", "hf:bees/tiny:tiny-Q8_0.gguf")
	m.put(t, "nest/a/x.gguf", testdata.Tinybee())
	for id, want := range map[string][2]string{
		"tiny": {"the model tiny cannot be used: it has come in part only: 60 B of 100 B", "goes on from there"},
		"nest": {"the model nest cannot be used: its GGUF files lie deeper", "move " + filepath.Join(m.dir, "nest", "a")},
		"none": {`there is no model "none" on hive localhost`, "shows the models"},
	} {
		if _, err := m.files(id); err == nil || !strings.HasPrefix(err.Error(), want[0]) || !strings.Contains(ops.AsError(err).Hint, want[1]) {
			t.Errorf("%s: %v (%s)", id, err, ops.AsError(err).Hint)
		}
	}
}

func TestWhatHadComeFromElsewhereIsNotRemovedWithoutAWord(t *testing.T) {
	m := newModels(t)
	m.begins(t, "tiny", "https://host/tiny.gguf")
	var said story
	if _, err := m.partialFolder(said.told(t.Context()), "tiny", "https://host/tiny.gguf", 100); err != nil || len(said.lines) > 0 {
		t.Errorf("going on says %q, %v", said.lines, err)
	}
	_, err := m.partialFolder(said.told(t.Context()), "tiny", "https://other/tiny.gguf", 100)
	want := []string{"60 B of 100 B of the model tiny had come from https://host/tiny.gguf: removing that, since it comes from elsewhere now"}
	if err != nil || !slices.Equal(said.lines, want) {
		t.Errorf("it says %q, %v", said.lines, err)
	}
}

func TestADownloadThatIsInTheWayIsNamedByItsJob(t *testing.T) {
	m := newModels(t)
	m.begins(t, "tiny", "https://host/tiny.gguf")
	var said story
	for job, want := range map[string]string{jobOf(said.told(t.Context())): "`rbee job cancel a-job-of-the-tests-1` ends it", jobOf(t.Context()): "`rbee job list` shows the job"} {
		m.underway["tiny"] = &download{job: job}
		_, _, err := m.removePartial("tiny")
		wantCode(t, err, ops.CodeConflict, "is being downloaded", want)
	}
}

func TestAFileThatIsNoWholeModelSaysWhatToDo(t *testing.T) {
	m := newModels(t)
	for name, c := range map[string]struct {
		data  []byte
		wants []string
	}{
		"half.gguf":  {testdata.Tinybee()[:1<<20], []string{"is not a usable GGUF file", "has not come whole"}},
		"empty.gguf": {nil, []string{"is no GGUF file: it is empty", "hf:OWNER/REPOSITORY"}},
		"page.gguf":  {[]byte("<html>"), []string{"does not begin as one", "hf:OWNER/REPOSITORY"}},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := m.download(t.Context(), path, "")
		wantCode(t, err, ops.CodeInvalid, c.wants...)
	}
}
