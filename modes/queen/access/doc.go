// Package access says who may use the queen: it keeps the API keys, knows what
// each route and operation wants, holds keys to their limits, and counts what
// they use. It does not serve requests and does not know where they go; the
// queen asks it about each one ([Access.Admit]) and tells it what that cost.
package access
