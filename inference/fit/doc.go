// Package fit estimates how much memory a model takes to run, from what its
// file says of it: the weights, the cache of keys and values for so many tokens
// of so many requests, and what is computed with them. It also says how long a
// context a given amount of memory allows.
//
// It estimates before anything is loaded and for every architecture, so it is
// exact for none: what is not known of a model is assumed to take more and not
// less. It does not look at machines; what is free there is for the hive to
// know.
package fit
