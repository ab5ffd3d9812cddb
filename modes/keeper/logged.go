package keeper

import "encoding/json"

// logged takes the text out of a line of a daemon's log.
func logged(line string) (string, bool) {
	var entry struct{ Message, Error string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Message == "" {
		return "", false
	}
	if entry.Error != "" {
		return entry.Message + ": " + entry.Error, true
	}
	return entry.Message, true
}
