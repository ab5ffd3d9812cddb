package lab

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// delayed stands before a machine's SSH server and lets everything through a
// moment later, in both directions: the kernel of a container seldom has netem.
type delayed struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	by       time.Duration
	work     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// delay starts one in the network of the queen's machine, and returns the port
// there.
func (m *Machine) delay() (port int) {
	l := m.lab
	l.t.Helper()
	d := &delayed{by: m.Delay, dial: func() (c net.Conn, err error) {
		err = inNamespace(l.queen(), func() error {
			c, err = net.DialTimeout("tcp", net.JoinHostPort(m.Addr(), "22"), patience) //nolint:noctx // bounded
			return err
		})
		return c, err
	}}
	err := inNamespace(l.queen(), func() (err error) {
		d.listener, err = net.Listen("tcp", "10.77.0.1:0") //nolint:noctx // does not wait
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	d.work.Go(d.accept)
	l.t.Cleanup(d.close)
	return d.listener.Addr().(*net.TCPAddr).Port
}

// inNamespace runs f in a network namespace. What f opens stays there. The thread
// goes back afterwards: its end would be that of the machines that it started
// (PR_SET_PDEATHSIG).
func inNamespace(name string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + name)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // nothing in this process could be trusted any more
	}
	return err
}

func (d *delayed) accept() {
	for {
		here, err := d.listener.Accept()
		if err != nil {
			return
		}
		there, err := d.dial()
		if err != nil {
			_ = here.Close()
			continue
		}
		d.mu.Lock()
		d.conns = append(d.conns, here, there)
		d.mu.Unlock()
		d.work.Go(func() { d.pass(here, there) })
		d.work.Go(func() { d.pass(there, here) })
	}
}

// chunk is bytes that are on their way.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pass hands on what from says, each byte so long after it came.
func (d *delayed) pass(from, to net.Conn) {
	way := make(chan chunk, 1024)
	d.work.Go(func() {
		for c := range way {
			time.Sleep(time.Until(c.due))
			if _, err := to.Write(c.bytes); err != nil {
				break
			}
		}
		_ = to.Close()
		for range way { // so that nobody waits to send
		}
	})
	defer close(way)
	for {
		buf := make([]byte, 64<<10)
		n, err := from.Read(buf)
		if n > 0 {
			way <- chunk{buf[:n], time.Now().Add(d.by)}
		}
		if err != nil {
			return // io.EOF or not, the other side is told by the end
		}
	}
}

func (d *delayed) close() {
	_ = d.listener.Close()
	d.mu.Lock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
}

// reached is the address and port by which the queen's machine reaches the SSH
// server.
func (m *Machine) reached() (host, port string) {
	if m.Delay == 0 {
		return m.Addr(), "22"
	}
	return "10.77.0.1", strconv.Itoa(m.delay())
}
