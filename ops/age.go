package ops

import (
	"strconv"
	"strings"
	"time"
)

// longestAge bounds ages: ten years.
const longestAge = 10 * 365 * 24 * time.Hour

// ParseAge reads how long something lasts or is ago: a number and d or w for
// days and weeks, or what [time.ParseDuration] takes. It is above zero and at
// most ten years.
func ParseAge(text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			var n int64
			if n, err = strconv.ParseInt(number, 10, 32); err == nil {
				age = min(time.Duration(n), longestAge/length+1) * length
			}
		}
	}
	if err != nil {
		return 0, Invalid("", "must be a number and a unit as in 30m, 12h, 30d or 4w, got %q", clip(text))
	}
	if age <= 0 || age > longestAge {
		return 0, Invalid("", "must be above zero and at most ten years, got %q", clip(text))
	}
	return age, nil
}

// checkAge accepts "" and ages.
func checkAge(field, value string) error {
	if value == "" {
		return nil
	}
	if _, err := ParseAge(value); err != nil {
		return Invalid(field, "%w", err)
	}
	return nil
}

// Shortly is d without units of zero behind others, for a person: 1h, not 1h0m0s.
func Shortly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
