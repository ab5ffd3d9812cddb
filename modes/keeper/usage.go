package keeper

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"time"

	"rbee.dev/rbee/ops"
)

func usageTable(w io.Writer, r ops.UsageReport) {
	if len(r.Usage) == 0 {
		row(w, "no model was used since "+when(r.Since))
		return
	}
	by := columns(r.Usage)
	row(w, append(by.of("KEY", "MODEL"), "REQUESTS", "ERRORS", "TOKENS IN", "TOKENS OUT", "TIME")...)
	for _, x := range r.Usage {
		row(w, append(by.of(keyName(x), cmp.Or(x.Model, "no model")), counts(x)...)...)
	}
	if len(r.Usage) > 1 {
		first, second := "total", ""
		if !by.keys {
			first, second = "", "total"
		}
		row(w, append(by.of(first, second), counts(r.Total)...)...)
	}
	fmt.Fprintf(w, "\nsince %s", when(r.Since))
	switch n := r.Total.Estimated; n {
	case 0:
	case 1:
		fmt.Fprint(w, "; the engine told no counts of 1 request, whose tokens are estimated")
	default:
		fmt.Fprintf(w, "; the engines told no counts of %d requests, whose tokens are estimated", n)
	}
	fmt.Fprintln(w)
}

// keyName is whose usage a row is.
func keyName(x ops.UsageRow) string {
	switch x.Key {
	case ops.ByToken:
		return "the queen's token"
	case ops.ByNone:
		return "no key"
	}
	return called(x.Key, x.KeyName)
}

// usageColumns are what usage is told by.
type usageColumns struct{ keys, models bool }

// columns are those that any row has something in.
func columns(rows []ops.UsageRow) (c usageColumns) {
	for _, x := range rows {
		c.keys, c.models = c.keys || x.Key != "", c.models || x.Model != ""
	}
	return c
}

func (c usageColumns) of(key, model string) (cells []string) {
	if c.keys {
		cells = append(cells, key)
	}
	if c.models || !c.keys {
		cells = append(cells, model)
	}
	return cells
}

func counts(x ops.UsageRow) []string {
	took := time.Duration(x.Seconds * float64(time.Second)).Round(10 * time.Millisecond).String()
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	return []string{n(x.Requests), n(x.Errors), n(x.TokensIn), n(x.TokensOut), took}
}
