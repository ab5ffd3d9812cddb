package daemon

import (
	"os"
	"time"

	"rbee.dev/rbee/ops"
)

// SilenceEnv is the variable that says how long an engine may say nothing. Workers
// inherit it from their hive, and the hive of the queen's machine from the queen.
const SilenceEnv = "RBEE_ENGINE_SILENCE"

// leastSilence is the shortest that an engine can keep to: it is given a fifth of
// it to begin.
const leastSilence = time.Second

// CheckSilence checks how long an engine may say nothing; 0 is for ever.
func CheckSilence(d time.Duration) error {
	if d != 0 && d < leastSilence {
		return ops.Invalid(SilenceEnv, "must be 1s at least, or 0s for ever, got %s", d)
	}
	return nil
}

// CheckSilenceEnv checks what the variable says, which a daemon hands on to the
// workers: each of them would end at once.
func CheckSilenceEnv() error {
	text := os.Getenv(SilenceEnv)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return ops.Invalid(SilenceEnv, "must be a number and a unit as in 90s, 10m or 1h, or 0s for ever, got %q", text)
	}
	return CheckSilence(d)
}
