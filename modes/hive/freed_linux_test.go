package hive

import (
	"os"
	"path/filepath"
	"testing"
)

// zones is what a kernel tells in /proc/zoneinfo, shortened.
const zones = `Node 0, zone    DMA32
  pages free     756341
        boost    0
      nr_zone_inactive_anon 0
  pagesets
    cpu: 0
              count:    1171
              high:     1443
              batch:    63
              high_min: 1443
              high_max: 47298
  vm stats threshold: 32
    cpu: 1
              count:    1220
              high:     1443
Node 0, zone   Normal
  pages free     4153216
  pagesets
    cpu: 0
              count:    22
              high:     22281
    cpu: 1
              count:    290048
              high:     290112
Node 0, zone  Movable
  pages free     0
`

func TestWhatLiesOnTheListsOfCPUsIsFree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zoneinfo")
	if err := os.WriteFile(file, []byte(zones), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := freed(file), uint64((1171+1220+22+290048)*os.Getpagesize()); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
	if got := freed(file + "-not"); got != 0 {
		t.Errorf("of a kernel that does not tell: %d bytes", got)
	}
	if _, err := os.ReadFile(zoneInfo); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI's kernel must tell: %v", err)
		}
		t.Skip("this kernel does not tell: ", err)
	}
	if total, free := memory(t.Context()); freed(zoneInfo) > total || free > total {
		t.Errorf("of %d bytes, %d are on lists and %d free", total, freed(zoneInfo), free)
	}
}
