// Package queen is the queen: the one address that keepers and other clients
// talk to. It keeps the jobs, knows every hive, and forwards hive operations to
// the hive that does them. It loads no models and runs no workers; a hive does.
package queen
