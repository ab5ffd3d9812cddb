// Package hive is the hive: one process on a machine, which keeps the models on
// its disk and runs its workers. It listens on a Unix socket that only its own
// account can open. Workers are processes of their own, outlive a restart of
// the hive and are found again by it. It computes nothing, and which hive a
// request goes to is the queen's choice.
package hive
