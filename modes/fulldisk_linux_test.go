package modes_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/hive/disktest"
)

// TestAQueenThatFindsNoRoomIsNone: every command that wants one says where room is
// wanted, and ends as where there is no queen.
func TestAQueenThatFindsNoRoomIsNone(t *testing.T) {
	p := newPlace(t)
	for _, options := range []string{"size=1m", "nr_inodes=9,size=80m"} {
		p.env = []string{"RBEE_HOME=" + disktest.Small(t, options)}
		for _, command := range []string{"queen start", "queen restart", "infer hi", "status"} {
			_, said := p.fails(3, strings.Fields(command)...)
			says(t, said, syscall.ENOSPC.Error(), "RBEE_HOME names another place")
		}
	}
	_, said := p.fails(3, "queen", "serve")
	says(t, said, syscall.ENOSPC.Error(), "RBEE_HOME names another place")
	p.env = nil
}

// TestAQueenThatHasNoRoomToSayWhyItEndsIsUnderstood: not a byte of her log.
func TestAQueenThatHasNoRoomToSayWhyItEndsIsUnderstood(t *testing.T) {
	p := newPlace(t)
	home := t.TempDir()
	state := disktest.Small(t, "size=4m,mode=700")
	if err := os.Symlink(state, filepath.Join(home, "state")); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"RBEE_HOME=" + home}
	p.rbee("queen", "start")
	p.rbee("queen", "stop")
	fill, err := os.Create(filepath.Join(state, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; { // to the last byte
		if _, err := fill.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := fill.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(state, "logs", "queen.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // whose last block has room
		_, err = log.WriteString("\n")
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, said := p.fails(3, "queen", "start")
		says(t, said, syscall.ENOSPC.Error(), "RBEE_HOME names another place")
	}
	p.env = nil
}

// TestARestartThatFindsNoRoomLeavesTheQueen: of another build, which has to be copied.
func TestARestartThatFindsNoRoomLeavesTheQueen(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	before := p.record("queen")
	bin := filepath.Join(p.home, "cache", "bin")
	if err := os.Rename(bin, bin+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(disktest.Small(t, "size=1m"), bin); err != nil {
		t.Fatal(err)
	}
	p.program = otherBuild(t)
	_, said := p.fails(1, "queen", "restart")
	p.program = ""
	says(t, said, "the queen that runs goes on", syscall.ENOSPC.Error(), "RBEE_HOME names another place")
	if now := p.record("queen"); now.PID != before.PID || !now.Alive() {
		t.Errorf("the queen is %+v, was %+v", now, before)
	}
}
