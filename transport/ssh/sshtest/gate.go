package sshtest

import (
	"net"
	"sync"
)

// gate holds back all that passes while it is shut.
type gate struct {
	mu   sync.Mutex
	pass chan struct{} // closed while open
}

func newGate() *gate {
	g := &gate{pass: make(chan struct{})}
	close(g.pass)
	return g
}

func (g *gate) isOpen() bool {
	select {
	case <-g.pass:
		return true
	default:
		return false
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isOpen() {
		g.pass = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isOpen() {
		close(g.pass)
	}
}

func (g *gate) wait() {
	g.mu.Lock()
	pass := g.pass
	g.mu.Unlock()
	<-pass
}

// conn is a connection behind a gate.
type conn struct {
	net.Conn
	gate *gate
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.gate.wait()
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.gate.wait()
	return c.Conn.Write(p)
}
