package llamacpptest

import (
	"encoding/binary"
	"io"
	"net"
)

// Words of llama.cpp's RPC (ggml/src/ggml-rpc/ggml-rpc.cpp): a command is a byte,
// the length of what follows (64 bits, little endian) and that. The first one is
// hello, which is answered with a length and the version: major, minor, patch, and
// 25 bytes for what the two can do.
const (
	rpcHello  = 14
	rpcAnswer = 28
	// RPCVersion is the major version that [ServeRPC] claims to speak.
	RPCVersion = 99
)

// ServeRPC answers what connects to l as an rpc-server does that is of a version
// which there is not yet, and returns when l is closed. It serves one connection
// after the other, as the real one does.
func ServeRPC(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		greet(c)
		_ = c.Close()
	}
}

// greet answers the hellos of a connection until something else comes.
func greet(c net.Conn) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(c, head[:]); err != nil || head[0] != rpcHello {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.LittleEndian.Uint16(head[1:]))); err != nil {
			return
		}
		answer := binary.LittleEndian.AppendUint64(nil, rpcAnswer)
		answer = append(answer, make([]byte, rpcAnswer)...)
		answer[8] = RPCVersion
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
