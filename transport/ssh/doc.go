// Package ssh reaches other machines as ssh(1) does, from the same
// configuration files, known hosts, agent and keys, and gives what a hive
// needs there: run a command, copy a file, dial a Unix socket.
//
//   - [Dial] makes one connection, through jump hosts where the configuration
//     names some. It ends, whatever the other side does, when its context does.
//   - [Conn] runs commands ([Conn.Run], [Conn.Start]), copies a file into place
//     ([Conn.Upload]) and dials sockets ([Conn.DialContext]).
//   - [Link] keeps one connection to a machine up, and dials through it.
//   - [ServePipe] is the far side of the tunnel where the SSH server forwards
//     no sockets.
//
// Every failure is an [ops.Error] with a code and a hint. Those that a person
// can answer carry a typed cause: [UnknownHostKey], [NeedsPassphrase],
// [NeedsPassword].
//
// It never asks anybody anything, never stores a secret, does not forward the
// agent, open terminals, or run ProxyCommand, and reads neither Match blocks
// of ssh_config beyond "host" and "all" nor host names that need
// canonicalising. It does not know what a hive is.
package ssh
