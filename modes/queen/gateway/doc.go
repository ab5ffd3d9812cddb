// Package gateway is the queen's OpenAI-compatible endpoint: it has the scheduler
// lend it a worker for each request, and passes bytes on as they come. It does not
// decode what it passes on, chooses and starts no worker, runs no jobs and knows no
// SSH; how workers are reached it is told ([Fleet]).
package gateway
