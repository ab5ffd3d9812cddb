package hive

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"rbee.dev/rbee/ops"
)

// firstState asks a worker that was found running what it is.
func firstState(ctx context.Context, m *member) (ops.Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for text, err := range m.client.State(ctx) {
		if err != nil {
			return ops.Worker{}, err
		}
		var s ops.Worker
		return s, json.Unmarshal(text, &s)
	}
	return ops.Worker{}, errors.New("it said nothing")
}
