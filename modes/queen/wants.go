package queen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// wantsRetry is the pause before a hive's stream of wants is opened again.
const wantsRetry = 200 * time.Millisecond

// serveWants answers what hive id wants of other hives, until ctx ends. Nothing
// of what passes is kept here: a slow receiver slows the sender down.
func (q *Queen) serveWants(ctx context.Context, id string, c *transport.Client) {
	for ctx.Err() == nil {
		known, err := q.readWants(ctx, id, c)
		if !known || ctx.Err() != nil {
			return
		}
		q.Log.Debug().Err(err).Str("hive", id).Msg("a hive's wants broke off")
		pause(ctx, wantsRetry)
	}
}

// readWants is one connection of that, with hive id. It reports false for a hive of a build
// that wants nothing.
func (q *Queen) readWants(ctx context.Context, id string, c *transport.Client) (known bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var answering sync.WaitGroup
	defer answering.Wait()
	defer cancel()
	stream, err := c.Exchange(ctx, http.MethodGet, ops.WantsPath, nil, nil, 0)
	if err != nil {
		return true, err
	}
	defer stream.Body.Close() //nolint:errcheck // it was only read
	if stream.StatusCode != http.StatusOK {
		return stream.StatusCode != http.StatusNotFound, fmt.Errorf("it answers %s", stream.Status)
	}
	for lines := json.NewDecoder(stream.Body); ; {
		var w ops.Want
		if err := lines.Decode(&w); err != nil {
			return true, err
		}
		answering.Go(func() {
			if err := q.answer(ctx, id, c, w); err != nil {
				q.Log.Debug().Err(err).Msg("a hive did not take an answer")
			}
		})
	}
}

// answer gets what hive id wants and passes it on.
func (q *Queen) answer(ctx context.Context, id string, c *transport.Client, w ops.Want) error {
	ctx, cancel := context.WithCancel(ctx) // whichever end breaks off, the other does
	defer cancel()
	got, err := q.obtain(ctx, id, w)
	if err != nil {
		status := ops.AsError(err).Code.HTTPStatus()
		if errors.Is(err, errStopped) {
			status = http.StatusConflict // for which nobody waits
		}
		got = told(status, ops.AsError(err))
	}
	defer got.Body.Close() //nolint:errcheck // it was only read
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", got.StatusCode, http.StatusText(got.StatusCode))
	got.Header.Del("Transfer-Encoding")
	length := int64(-1)
	if got.ContentLength >= 0 {
		got.Header.Set("Content-Length", fmt.Sprint(got.ContentLength))
		length = got.ContentLength
	}
	if err := got.Header.Write(&head); err != nil {
		return err
	}
	head.WriteString("\r\n")
	if length >= 0 {
		length += int64(head.Len())
	}
	header := http.Header{"Content-Type": {"message/http"}}
	taken, err := c.Exchange(ctx, http.MethodPut, ops.AnswersPath+url.PathEscape(w.ID), header, io.MultiReader(&head, got.Body), length)
	if err != nil {
		return err
	}
	return taken.Body.Close()
}

// obtain gets what hive by wants from the hive that has it, or from the books.
func (q *Queen) obtain(ctx context.Context, by string, w ops.Want) (*http.Response, error) {
	if w.HiveID == "" {
		return told(http.StatusOK, ops.Models{Models: q.books.having(w.Source, w.SHA256)}), nil
	}
	id, err := q.hive(w.HiveID)
	if err != nil {
		return nil, err
	}
	h, err := q.reach(ctx, id)
	if err != nil {
		return nil, err
	}
	path := ops.FilesPath + url.PathEscape(w.Model)
	if w.File != "" {
		path += "/" + url.PathEscape(w.File)
	}
	query := url.Values{"for": {by}, "job": {strings.TrimSuffix(w.JobID, ops.ForModel)}}
	if w.Sum {
		query.Set("sum", "1")
	}
	if w.Over {
		query.Set("over", "1")
	}
	path += "?" + query.Encode()
	header := http.Header{}
	for name, value := range map[string]string{"Range": w.Range, "If-Range": w.IfRange} {
		if value != "" {
			header.Set(name, value)
		}
	}
	return h.direct().Exchange(ctx, http.MethodGet, path, header, nil, 0)
}

// told is an answer of the queen's own.
func told(status int, value any) *http.Response {
	text, err := json.Marshal(value)
	if err != nil {
		status, text = http.StatusInternalServerError, nil
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)),
	}
}

// having lists the models of hives that are up whose source is the one given, or
// whose file has the sum.
func (b *books) having(source, sum string) []ops.Model {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []ops.Model{}
	for _, e := range b.hives {
		for _, m := range e.snapshot.Models {
			if e.state == ops.HiveUp && m.Error == "" && (m.ComesFrom(source) || sum != "" && m.SHA256 == sum) {
				list = append(list, m)
			}
		}
	}
	return list
}
