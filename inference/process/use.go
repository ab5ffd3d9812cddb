package process

import "time"

// use is what the processes of a group have used so far, those that still run.
type use struct {
	at    time.Time
	cpu   time.Duration
	read  uint64 // bytes, from files and from the disk behind mapped ones
	known bool
}

// computes reports whether the process has used a hundredth of a processor or more
// since before, which is little enough for a machine with much else to do. Where
// nobody can tell it may have.
func (u use) computes(before use) bool {
	return !u.known || !before.known || u.cpu-before.cpu >= u.at.Sub(before.at)/100
}

// leastRead is how many bytes a second count as reading. It is more than what
// requests that ask how it is going make, and less than any disk gives.
const leastRead = 16 << 10

// reads reports whether the process has read anything to speak of since before.
func (u use) reads(before use) bool {
	return u.known && before.known && u.read > before.read &&
		float64(u.read-before.read) >= leastRead*u.at.Sub(before.at).Seconds()
}
