package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ErrForeign is a connection of another account of the machine.
var ErrForeign = errors.New("it is another account's")

// The kernel's tables of TCP sockets (proc_net_tcp.txt of its documentation).
var tables = []string{"/proc/net/tcp", "/proc/net/tcp6"}

// states of a socket (include/net/tcp_states.h).
const stateListen = "0A"

// OwnPeer reports whether the other side of a connection that was accepted on a
// loopback port is a process of this account, as [ErrForeign] where it is not:
// loopback keeps other machines out, but not the accounts of this one. Where the
// kernel does not tell, as on macOS, everyone is let in.
func OwnPeer(conn net.Conn) error {
	return owned(func(r row) bool {
		return r.local == addrPort(conn.RemoteAddr()) && r.remote == addrPort(conn.LocalAddr())
	})
}

// OwnPort reports the same of who listens on a loopback port, as 127.0.0.1:5000.
func OwnPort(address string) error {
	want, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("find who listens: %w", err)
	}
	return owned(func(r row) bool { return r.local == want && r.state == stateListen })
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// row is a socket.
type row struct {
	local, remote netip.AddrPort
	state         string
	uid           int
}

// owned looks the first socket up that is wanted.
func owned(wanted func(row) bool) error {
	known := false
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // there may be no IPv6, or no /proc
		}
		known = true
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			r, ok := parseRow(lines.Text())
			if !ok || !wanted(r) {
				continue
			}
			if r.uid != os.Getuid() {
				return ErrForeign
			}
			return nil
		}
	}
	if known {
		return fmt.Errorf("%w, or gone", ErrForeign)
	}
	return nil
}

// parseRow reads a line; the heading is none.
func parseRow(line string) (r row, ok bool) {
	const localAt, remoteAt, stateAt, uidAt = 1, 2, 3, 7
	fields := strings.Fields(line)
	if len(fields) <= uidAt {
		return r, false
	}
	var err error
	if r.local, ok = parseAddress(fields[localAt]); !ok {
		return r, false
	}
	if r.remote, ok = parseAddress(fields[remoteAt]); !ok {
		return r, false
	}
	r.state = fields[stateAt]
	r.uid, err = strconv.Atoi(fields[uidAt])
	return r, err == nil
}

// parseAddress reads an address: words of 32 bits in the machine's own order,
// in hexadecimal digits, and the port.
func parseAddress(text string) (netip.AddrPort, bool) {
	digits, port, found := strings.Cut(text, ":")
	raw, err := hex.DecodeString(digits)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if !found || err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(number)), ok
}
