// Package engines brings llama.cpp's official releases onto a machine: it finds
// out which archive is the right one, downloads and checks it, unpacks it safely
// and keeps several side by side, each in a folder of its own.
//
// It knows nothing of workers or of llama-servers that others installed: which
// program runs, and whether one may be removed, is for the hive to say.
package engines
