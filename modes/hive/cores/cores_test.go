package cores

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// single is a machine of n cores without siblings, with a quota.
func single(n int, quota float64) Cores {
	c := Cores{Quota: quota}
	for i := range n {
		c.List = append(c.List, Core{i})
	}
	return c
}

func TestCoresAreSharedOut(t *testing.T) {
	siblings := Cores{List: []Core{{0, 4}, {1, 5}, {2, 6}, {3, 7}}}
	for _, c := range []struct {
		name  string
		cores Cores
		among int
		want  [][]int
	}{
		{"one has all", single(4, 0), 1, [][]int{{0, 1, 2, 3}}},
		{"two have half each", single(4, 0), 2, [][]int{{0, 1}, {2, 3}}},
		{"three have what there is", single(4, 0), 3, [][]int{{0}, {1}, {2, 3}}},
		{"as many as cores", single(2, 0), 2, [][]int{{0}, {1}}},
		{"more than cores", single(2, 0), 5, [][]int{{0}, {1}, {0}, {1}, {0}}},
		{"siblings stay together", siblings, 2, [][]int{{0, 4, 1, 5}, {2, 6, 3, 7}}},
		{"nobody", single(2, 0), 0, [][]int{}},
		{"nothing known", Cores{}, 2, [][]int{nil, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.cores.Share(c.among)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryCoreIsGivenToSomebody(t *testing.T) {
	for cores := 1; cores <= 24; cores++ {
		for among := 1; among <= 30; among++ {
			var all []int
			for _, share := range single(cores, 0).Share(among) {
				if len(share) == 0 || len(share) < cores/among || len(share) > cores/among+1 {
					t.Fatalf("%d cores among %d: one gets %v", cores, among, share)
				}
				all = append(all, share...)
			}
			slices.Sort(all)
			if n := len(slices.Compact(all)); n != min(cores, max(among, cores)) {
				t.Fatalf("%d cores among %d: %d are given", cores, among, n)
			}
		}
	}
}

func TestThreadsAreOneForEachCoreWithinTheQuota(t *testing.T) {
	for _, c := range []struct {
		cores Cores
		want  int
	}{
		{single(8, 0), 8},
		{single(8, 2), 2},
		{single(8, 1.5), 2},
		{single(8, 0.1), 1},
		{single(2, 64), 2},
		{Cores{List: []Core{{0, 1}, {2, 3}}}, 2},
		{Cores{}, 0},
		{Cores{Quota: 2}, 0},
	} {
		if got := c.cores.Threads(); got != c.want {
			t.Errorf("%+v: %d threads, want %d", c.cores, got, c.want)
		}
	}
}
