package keeper

import (
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
	row(w, "KEY", "MODEL", "REQUESTS", "ERRORS", "TOKENS IN", "TOKENS OUT", "TIME")
	for _, x := range r.Usage {
		usageRow(w, keyName(x), x.Model, x)
	}
	if len(r.Usage) > 1 {
		usageRow(w, "total", "", r.Total)
	}
	fmt.Fprintf(w, "\nsince %s", when(r.Since))
	if n := r.Total.Estimated; n > 0 {
		fmt.Fprintf(w, "; the engines told no counts of %d requests, whose tokens are estimated", n)
	}
	fmt.Fprintln(w)
}

// keyName is whose usage a row is.
func keyName(x ops.UsageRow) string {
	switch {
	case x.Key == "token":
		return "the queen's token"
	case x.Key == "none":
		return "no key"
	}
	return called(x.Key, x.KeyName)
}

func usageRow(w io.Writer, key, model string, x ops.UsageRow) {
	took := time.Duration(x.Seconds * float64(time.Second)).Round(10 * time.Millisecond).String()
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	row(w, key, model, n(x.Requests), n(x.Errors), n(x.TokensIn), n(x.TokensOut), took)
}
