package access

import (
	"context"
	"fmt"
	"time"

	"rbee.dev/rbee/ops"
)

// usedIn is how far back usage is told of unless somebody asks otherwise.
const usedIn = 7 * 24 * time.Hour

// Usage sums up what was used.
func (a *Access) Usage(ctx context.Context, o ops.Usage) (ops.UsageReport, error) {
	ago := usedIn
	if o.Since != "" {
		var err error
		if ago, err = ops.ParseAge(o.Since); err != nil {
			return ops.UsageReport{}, err
		}
	}
	if err := a.ledger.write(ctx, a.DB, a.Now()); err != nil {
		return ops.UsageReport{}, err
	}
	kept := time.Minute
	if ago > byMinute {
		kept = time.Hour
	}
	since := a.Now().Add(-ago).Truncate(kept).UTC()
	report := ops.UsageReport{Since: since, Usage: []ops.UsageRow{}}
	by := map[string]string{"": "u.key, u.model", "key": "u.key, ''", "model": "'', u.model"}[o.By]
	rows, err := a.DB.QueryContext(ctx, //nolint:gosec // by is one of three
		`SELECT `+by+`, coalesce(max(k.name), ''), sum(requests), sum(errors), sum(tokens_in), sum(tokens_out), sum(estimated), sum(millis)
		 FROM usage u LEFT JOIN keys k ON k.id = u.key
		 WHERE minute >= ? AND ? IN ('', u.key, k.name) AND ? IN ('', u.model) GROUP BY 1, 2 ORDER BY sum(tokens_in + tokens_out) DESC, 1, 2`,
		since.Unix()/60, o.Key, o.Model)
	if err != nil {
		return report, fmt.Errorf("read what was used: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r ops.UsageRow
		var millis int64
		if err := rows.Scan(&r.Key, &r.Model, &r.KeyName, &r.Requests, &r.Errors, &r.TokensIn, &r.TokensOut, &r.Estimated, &millis); err != nil {
			return report, fmt.Errorf("read what was used: %w", err)
		}
		if r.Key == "" {
			r.KeyName = ""
		}
		r.Seconds = float64(millis) / 1000
		report.Usage = append(report.Usage, r)
		report.Total = total(report.Total, r)
	}
	return report, rows.Err()
}

func total(sum, r ops.UsageRow) ops.UsageRow {
	return ops.UsageRow{
		Requests: sum.Requests + r.Requests, Errors: sum.Errors + r.Errors, TokensIn: sum.TokensIn + r.TokensIn, TokensOut: sum.TokensOut + r.TokensOut,
		Estimated: sum.Estimated + r.Estimated, Seconds: sum.Seconds + r.Seconds,
	}
}
