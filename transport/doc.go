// Package transport is how modes reach each other: the client of the job API
// (HTTP and event streams), over TCP or a Unix socket, and the one piece of
// code that forwards a job to another daemon. It serves nothing and runs no
// operation; package job does.
package transport
