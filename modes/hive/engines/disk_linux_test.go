package engines

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/modes/hive/disktest"
	"rbee.dev/rbee/ops"
)

// onSmallDisk is an empty store on a disk of its own.
func onSmallDisk(t *testing.T, options string) *Store {
	t.Helper()
	s, err := Open(disktest.Small(t, options))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestADiskThatFillsUpLeavesNoHalfEngine(t *testing.T) {
	huge := append(llama(6000), thing{name: "llama-b6000/libbig.so", text: strings.Repeat("0", 4<<20)})
	many := llama(6000)
	for i := range 40 {
		many = append(many, thing{name: "llama-b6000/lib" + strings.Repeat("x", i+1) + ".so", text: "x"})
	}
	for _, c := range []struct {
		name, disk string
		things     []thing
		code       ops.Code
	}{
		{"it is known before", "size=2m", huge, ops.CodeConflict},
		{"it is known when it is full", "size=2m,nr_inodes=32", many, ops.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, c.things)}))
			s := onSmallDisk(t, c.disk)
			_, err := s.Install(t.Context(), Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()})
			if e := ops.AsError(err); ops.CodeOf(err) != c.code || e.Hint != "make room on the disk of "+s.dir+", and give the same command again" || !strings.HasPrefix(e.Message, "there is no room for the engine b6000-cpu on the disk of "+s.dir+": ") {
				t.Errorf("got %v, %+v", err, e)
			}
			if names := left(t, s); len(names) > 0 || len(s.List()) > 0 {
				t.Errorf("it leaves %v", names)
			}
		})
	}
}

func TestADiskWithRoomForTheArchiveAloneIsRefusedBeforeItComes(t *testing.T) {
	noise := make([]byte, 3<<19) // which no archive makes smaller
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	archive := tarball(t, append(llama(6000), thing{name: "llama-b6000/libbig.so", text: string(noise)}))
	m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name1: archive}))
	s := onSmallDisk(t, "size=2m")
	_, err := s.Install(t.Context(), Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()})
	if want := "it takes " + humanize.IBytes(uint64(2*len(archive))) + ", and the disk has"; ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want that %s", err, want)
	}
	if names := left(t, s); len(names) > 0 {
		t.Errorf("it leaves %v", names)
	}
}

// TestAnArchiveThatUnpacksToMoreThanTheDiskHasIsRefusedWhole: before the first of its
// files, each of which would fit, and with the number of all.
func TestAnArchiveThatUnpacksToMoreThanTheDiskHasIsRefusedWhole(t *testing.T) {
	things := llama(6000)
	for _, name := range []string{"a", "b", "c", "d"} {
		things = append(things, thing{name: "llama-b6000/lib" + name + ".so", text: strings.Repeat(name, 1<<20)})
	}
	for name, archive := range map[string][]byte{name1: tarball(t, things), strings.TrimSuffix(name1, ".tar.gz") + ".zip": zipped(t, things)} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name: archive}))
			s := onSmallDisk(t, "size=3m")
			_, err := s.Install(t.Context(), Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()})
			if e := ops.AsError(err); ops.CodeOf(err) != ops.CodeConflict || !strings.Contains(e.Message, ": it takes 4.1 MiB, and the disk has 3.0 MiB free") {
				t.Errorf("got %v", err)
			}
			if names := left(t, s); len(names) > 0 {
				t.Errorf("it leaves %v", names)
			}
		})
	}
}
