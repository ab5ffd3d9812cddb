package kernel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

// Weights are the bytes of a mapped file, behind whose last page is nothing.
func TestNothingIsReadBeyondTheWeights(t *testing.T) {
	const cols = 512
	page := os.Getpagesize()
	eachLevel(t, func(t *testing.T, k *Kernels) {
		for _, kind := range types {
			for _, rows := range []int{1, 4, 7} {
				data := randomRows(rand.New(rand.NewPCG(2, 2)), kind, rows, cols)
				size := (len(data) + page - 1) / page * page
				m, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
				if err != nil {
					t.Fatal(err)
				}
				if err := syscall.Mprotect(m[size:], syscall.PROT_NONE); err != nil {
					t.Fatal(err)
				}
				atTheEnd := m[size-len(data) : size : size]
				copy(atTheEnd, data)
				for _, n := range []int{1, 5} { // a fault would end the test
					x := randomVectors(rand.New(rand.NewPCG(3, 3)), n*cols)
					got := multiply(t, k, kind, atTheEnd, x, rows, cols, n)
					if want := multiply(t, k, kind, data, x, rows, cols, n); fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s, %d rows, %d vectors: got %v, want %v", kind, rows, n, got, want)
					}
				}
				if err := syscall.Munmap(m); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
