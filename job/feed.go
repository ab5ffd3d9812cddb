package job

import "sync"

// feed is the newest state of a daemon, for any number of readers. A slow
// reader skips to the newest.
type feed struct {
	mu      sync.Mutex
	text    []byte
	version uint64 // counts changes; 0 is nothing published yet
	changed chan struct{}
}

func (f *feed) set(text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
	f.version++
	close(f.changed)
	f.changed = make(chan struct{})
}

// after returns the newest state if it is newer than version, else a channel
// that is closed when there is one.
func (f *feed) after(version uint64) (text []byte, newest uint64, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.version > version {
		return f.text, f.version, nil
	}
	return nil, f.version, f.changed
}
