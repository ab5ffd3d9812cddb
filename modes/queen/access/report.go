package access

import (
	"context"
	"fmt"
	"math"
	"slices"
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
	if err := a.ledger.write(ctx, a.DB, a.Now()); err != nil { // a full disk keeps nobody from reading
		ops.Warn(ctx, "usage", "what was used last is left out: %v", err)
	}
	if o.Model != "" {
		o.Model = a.Model(o.Model)
	}
	if err := a.checkUsed(ctx, o); err != nil {
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

// checkUsed refuses to tell of a key or a model that there is not, nor was.
func (a *Access) checkUsed(ctx context.Context, o ops.Usage) error {
	isKey := func(k *key) bool { return k.ID == o.Key || k.Name == o.Key }
	if o.Key != "" && o.Key != ops.ByToken && o.Key != ops.ByNone && !slices.ContainsFunc(a.keys.list(), isKey) {
		used, err := a.used(ctx, "key")
		if err != nil {
			return err
		}
		if !slices.Contains(used, o.Key) { // one that is forgotten
			return a.unknown("key", o.Key)
		}
	}
	if o.Model == "" || slices.Contains(a.Models(), o.Model) {
		return nil
	}
	used, err := a.used(ctx, "model")
	if err != nil || slices.Contains(used, o.Model) {
		return err
	}
	e := ops.Errorf(ops.CodeNotFound, "there is no model %q, and none of that name was used", o.Model)
	e.Field = "model"
	if near := ops.Nearest(o.Model, append(used, a.Models()...)); near != "" {
		return e.WithHint("did you mean %q?", near)
	}
	return e.WithHint("`rbee usage --by model` tells of all that were used")
}

// used are the keys, or the models, that the database tells of.
func (a *Access) used(ctx context.Context, column string) (list []string, err error) {
	rows, err := a.DB.QueryContext(ctx, "SELECT DISTINCT "+column+" FROM usage") //nolint:gosec // it is one of two
	if err != nil {
		return nil, fmt.Errorf("read what was used: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read what was used: %w", err)
		}
		list = append(list, name)
	}
	return list, rows.Err()
}

func total(sum, r ops.UsageRow) ops.UsageRow {
	return ops.UsageRow{
		Requests: sum.Requests + r.Requests, Errors: sum.Errors + r.Errors, TokensIn: sum.TokensIn + r.TokensIn, TokensOut: sum.TokensOut + r.TokensOut,
		Estimated: sum.Estimated + r.Estimated, Seconds: math.Round((sum.Seconds+r.Seconds)*1000) / 1000,
	}
}
