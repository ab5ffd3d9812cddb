package fetch

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"rbee.dev/rbee/ops"
)

// kind is what errors call the file.
func (f File) kind() string {
	if f.Kind == "" {
		return "GGUF file"
	}
	return f.Kind
}

// isPage is the error of a web page that came in place of the file.
func (f File) isPage(shown string) error {
	return ops.Errorf(ops.CodeUnavailable, "%s is a web page, not a %s", shown, f.kind()).WithHint("%s", f.notAPage())
}

// notAPage is what to do about a web page that came in place of the file.
func (f File) notAPage() string {
	if f.Kind == "" {
		return f.doubted("give the address of the file itself: on Hugging Face it has /resolve/ where the page has /blob/")
	}
	return "something else answers there: a page to sign in at, a proxy, or a server that is no mirror of it"
}

// doubted is the hint where a server gives something else than the file: the one for a
// person who gave the address, unless a list did.
func (f File) doubted(hint string) string {
	if f.Lister == "" {
		return hint
	}
	return f.Lister + " lists the file there: what that gives is broken, or a proxy on the way changes it; try again later, or take it from another"
}

// Text gets what is at a URL and not longer than most bytes, as a list or an
// answer of an API. A server that cannot give it now is asked again; what it denies,
// or has not, is an error of that code.
func (f *Fetcher) Text(ctx context.Context, what File, most int64) (text []byte, err error) {
	err = f.retry(ctx, func() error {
		text, err = f.textOnce(ctx, what, most)
		return err
	})
	return text, err
}

func (f *Fetcher) textOnce(ctx context.Context, what File, most int64) ([]byte, error) {
	p := f.patience(ctx, what.URL, nil)
	defer p.end()
	answer, err := f.send(p.ctx, what.URL, what, http.Header{"Accept": {"application/json, text/plain, */*"}})
	if err != nil {
		return nil, hinted(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if err := refusal(answer, what); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(p.reader(answer.Body), most+1))
	if err != nil {
		return nil, hinted(ops.Errorf(ops.CodeUnavailable, "read %s: %w", Shown(what.URL), err))
	}
	if int64(len(text)) > most {
		return nil, ops.Errorf(ops.CodeUnavailable, "%s is longer than %d bytes, which it should not be", Shown(what.URL), most)
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("<")) { // whatever its Content-Type: no list begins so
		return nil, what.isPage(Shown(what.URL))
	}
	return text, nil
}
