package relay

import (
	"io"
	"sync"
)

// chunk is how much is carried at once: weights are many gigabytes.
const chunk = 256 << 10

// Join carries bytes between two connections until both directions have ended,
// and closes both. A side that ends its direction ends it at the other; one that
// breaks breaks the other. onFar, which may be nil, is called when far ended or
// broke before near did, before near is told of it.
func Join(near, far Conn, onFar func()) {
	var once sync.Once
	var work sync.WaitGroup
	work.Go(func() {
		err := carry(far, near)
		once.Do(func() {}) // near was first
		end(far, near, err)
	})
	err := carry(near, far)
	once.Do(func() {
		if onFar != nil {
			onFar()
		}
	})
	end(near, far, err)
	work.Wait()
	_ = near.Close()
	_ = far.Close()
}

// carry copies from one to the other with a buffer of its own size: neither end
// of these knows a better way.
func carry(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, chunk))
	return err
}

// end tells to that nothing more comes from from, or that it broke.
func end(to, from Conn, err error) {
	if err == nil && to.CloseWrite() == nil {
		return
	}
	_ = to.Close()
	_ = from.Close()
}
