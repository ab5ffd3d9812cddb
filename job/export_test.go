package job

import "os"

// ReplaceLogFile has the log of the job called id write to f from now on, and
// returns what it wrote to before.
func (s *Server[O]) ReplaceLogFile(id string, f *os.File) *os.File {
	s.mu.Lock()
	l := s.jobs[id].log
	s.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.file
	l.file = f
	return old
}

// Streams counts the streams that are open.
func (s *Server[O]) Streams() int {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	return s.streams.n
}

// Unread is closed when no stream is open.
func (s *Server[O]) Unread() <-chan struct{} { return s.streams.empty() }

// Compact makes what is remembered anew, as after a busy time.
func (s *Server[O]) Compact() { s.compact() }
