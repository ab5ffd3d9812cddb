// Package gateway is the queen's OpenAI-compatible endpoint: it finds a worker
// for each request, starts one where none has the model, and passes bytes on as
// they come. It does not decode what it passes on, runs no jobs and knows no
// SSH; how workers are reached it is told ([Fleet]).
package gateway
