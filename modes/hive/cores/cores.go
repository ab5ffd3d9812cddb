package cores

import "math"

// Core is one physical core: the CPUs as which the system shows it, by number.
// There are several where it runs several threads at once.
type Core []int

// Cores are what programs may compute on.
type Cores struct {
	// List is the physical cores; none where nothing is known of them.
	List []Core
	// Quota is for how many CPUs' time there is in each stretch of time; 0 sets no
	// bound.
	Quota float64
}

// Threads is how many threads a program that computes should have: one for each
// physical core, for the second one on a core computes hardly more, and no more
// than the quota lets run. It is 0 where nothing is known.
func (c Cores) Threads() int {
	n := len(c.List)
	if c.Quota > 0 {
		n = min(n, max(1, int(math.Ceil(c.Quota))))
	}
	return n
}

// CPUs are all CPUs.
func (c Cores) CPUs() []int { return cpus(c.List) }

// Share divides the cores among n programs: the CPUs for each. Neighbouring
// cores go to the same one. Where there are more programs than cores, several
// have the same.
func (c Cores) Share(n int) [][]int {
	shares := make([][]int, n)
	all := len(c.List)
	for i := range shares {
		switch {
		case all == 0:
		case n > all:
			shares[i] = cpus(c.List[i%all : i%all+1])
		default:
			shares[i] = cpus(c.List[i*all/n : (i+1)*all/n])
		}
	}
	return shares
}

func cpus(list []Core) (all []int) {
	for _, c := range list {
		all = append(all, c...)
	}
	return all
}
