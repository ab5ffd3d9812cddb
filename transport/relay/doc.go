// Package relay carries connections between machines that cannot reach each
// other through one that reaches both. A worker whose engine speaks TCP only, as
// llama.cpp's RPC does, connects to a port of its own machine's loopback; the
// worker opens a stream for it on the [Session] that the queen holds with it; and
// the queen connects that with the worker on the other machine, which has a port
// of its own loopback behind its socket. Bytes go both ways as they come, each
// side as fast as the other takes them.
//
// It knows neither what the bytes mean nor who is who: the two ends are
// connections that somebody else has made.
package relay
