package sshtest

import (
	"io"
	"net"
	"strconv"
	"sync"

	xssh "golang.org/x/crypto/ssh"
)

// serve speaks SSH on one connection until it ends.
func (s *Server) serve(c *conn) {
	if s.options.Silent {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	sc, channels, requests, err := xssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	var work sync.WaitGroup
	defer work.Wait()
	defer func() { _ = sc.Close() }()
	work.Go(func() {
		for r := range requests {
			if r.WantReply && !s.options.Mute {
				_ = r.Reply(false, nil) // as OpenSSH answers a keepalive
			}
		}
	})
	sessions := 0
	var mu sync.Mutex
	count := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		s.sessions.Add(int64(n))
		sessions += n
		return sessions
	}
	for ch := range channels {
		work.Go(func() { s.channel(ch, count) })
	}
}

func (s *Server) channel(ch xssh.NewChannel, count func(int) int) {
	switch ch.ChannelType() {
	case "session":
		limit := s.options.MaxSessions
		if limit == 0 {
			limit = 10
		}
		defer count(-1)
		if count(1) > limit {
			_ = ch.Reject(xssh.ConnectionFailed, "open failed")
			return
		}
		s.session(ch)
	case "direct-tcpip":
		var to struct {
			Host     string
			Port     uint32
			From     string
			FromPort uint32
		}
		if err := xssh.Unmarshal(ch.ExtraData(), &to); err != nil || s.options.NoForward {
			_ = ch.Reject(xssh.Prohibited, "open failed")
			return
		}
		forward(ch, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	case "direct-streamlocal@openssh.com":
		s.sockets.Add(1)
		var to struct {
			Path     string
			Reserved string
			Number   uint32
		}
		if err := xssh.Unmarshal(ch.ExtraData(), &to); err != nil || s.options.RefuseSockets != 0 {
			_ = ch.Reject(s.options.RefuseSockets, "open failed")
			return
		}
		forward(ch, "unix", to.Path)
	default:
		_ = ch.Reject(xssh.UnknownChannelType, "unknown channel type")
	}
}

// forward joins a channel to what it asked for.
func forward(ch xssh.NewChannel, network, addr string) {
	target, err := net.Dial(network, addr) //nolint:noctx // ends with the test's sockets
	if err != nil {
		_ = ch.Reject(xssh.ConnectionFailed, "open failed")
		return
	}
	defer func() { _ = target.Close() }()
	c, requests, err := ch.Accept()
	if err != nil {
		return
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		xssh.DiscardRequests(requests) // until the client has closed its side for good
		_ = target.Close()
	})
	work.Go(func() {
		if _, err := io.Copy(target, c); err == nil {
			_ = target.(interface{ CloseWrite() error }).CloseWrite()
		}
	})
	_, _ = io.Copy(c, target)
	_ = c.CloseWrite()
	_ = c.Close()
}
