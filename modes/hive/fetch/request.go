package fetch

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// maxRedirects is how often a server may send a download elsewhere.
const maxRedirects = 10

// again is an error after which a further try may help.
type again struct {
	err   error
	after time.Duration // that the server wants to be left alone for
	short bool          // the answer ended, and not by an error, before all had come
}

func (a *again) Error() string { return a.err.Error() }
func (a *again) Unwrap() error { return a.err }

// final is an error after which no further try helps, though it is of the kind of
// those that pass.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// Passing is an error of a transport of [Options.Schemes] after which a further try
// may help.
func Passing(err error) error { return &again{err: err} }

// Passes reports whether an error is such a one.
func Passes(err error) bool {
	_, ok := errors.AsType[*again](err)
	return ok
}

// Final is one after which none does, however much of the file is here.
func Final(err error) error { return final{err} }

// spoilt is an error of a file that is not what it should be: nothing of it is kept.
type spoilt struct{ error }

func (s spoilt) Unwrap() error { return s.error }

// ErrSum is in the error of a file whose sum is another one than was told.
var ErrSum = errors.New("is not what it should be")

// Shown is a URL, or any other source, without the password or token that it may hold.
func Shown(source string) string {
	if u, err := url.Parse(source); err == nil && u.User != nil {
		source = u.Redacted()
	}
	return string(ops.Redact([]byte(source)))
}

// send asks for from, and gives the token away only where it belongs. What
// fails here is not tried again by itself.
func (f *Fetcher) send(ctx context.Context, from string, what File, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, ops.Invalid("model", "is no URL: %w", err)
	}
	r.Header = header
	r.Header.Set("User-Agent", "rbee")
	if home, err := url.Parse(what.URL); err == nil && what.Token != "" && sameOrigin(home, r.URL) {
		r.Header.Set("Authorization", "Bearer "+what.Token)
	}
	answer, err := f.client.Do(r)
	if err == nil {
		return answer, nil
	}
	at := r.URL
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the URL, which may hold a password
		if last, failed := url.Parse(inner.URL); failed == nil {
			at = last // where it was sent on to
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if _, ok := errors.AsType[*ops.Error](err); ok || errors.Is(err, ops.ErrDetached) {
		return nil, err
	}
	if by := f.through(at); by != "" {
		return nil, ops.Errorf(ops.CodeUnavailable, "download %s through the proxy %s: %w", Shown(what.URL), by, err).
			WithHint("is the proxy right, and does it let the hive through? `rbee hive env %s` shows what is set there, and NO_PROXY=HOST of the hive leaves it out for a host", f.o.Hive)
	}
	return nil, ops.Errorf(ops.CodeUnavailable, "download %s: %w", Shown(what.URL), err).
		WithHint("%s", cmp.Or(what.Away, "is the address right, and does the hive's machine reach it? `rbee hive env --help` says how to give a hive a proxy (HTTPS_PROXY) or a mirror of Hugging Face (HF_ENDPOINT)"))
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// checkRedirect follows a redirect unless it goes round in circles or from the
// world into this network, and leaves the token behind.
func (f *Fetcher) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return ops.Errorf(ops.CodeUnavailable, "download %s: it was sent elsewhere %d times, the last time to %s", Shown(via[0].URL.String()), len(via), Shown(r.URL.String())).
			WithHint("the server sends downloads round in circles; is the address right?")
	}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return ops.Errorf(ops.CodeDenied, "%s sends the download to %s, which is no web server", via[0].URL.Host, Shown(r.URL.String())).WithHint(elsewhere)
	}
	if r.URL.Host == "" {
		return ops.Errorf(ops.CodeUnavailable, "%s sends the download to %q, which names no server", via[0].URL.Host, Shown(r.URL.String())).WithHint(elsewhere)
	}
	first := via[0].URL
	if !sameOrigin(first, r.URL) {
		r.Header.Del("Authorization")
		r.Header.Del("Referer")
	}
	if first.Host != r.URL.Host && f.inside(r.Context(), r.URL) && !f.inside(r.Context(), first) {
		return ops.Errorf(ops.CodeDenied, "%s sends the download to %s, inside this network", first.Host, r.URL.Host).
			WithHint("if that is right, download from there: %s", Shown(r.URL.String()))
	}
	return nil
}

// inside says whether a URL's host is this machine or in its own network. What
// cannot be looked up cannot be reached either, but through a proxy.
func (f *Fetcher) inside(ctx context.Context, u *url.URL) bool {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if a, ok := spelled(host); ok {
		return isInside(a)
	}
	addresses, err := f.o.Lookup(ctx, host)
	return err == nil && slices.ContainsFunc(addresses, isInside)
}

// spelled is the address that a host's name is, also in the spellings of old
// (inet_aton(3)), which a proxy may understand: 127.1, 0x7f.0.0.1, 2130706433.
func spelled(host string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	parts := strings.Split(host, ".")
	var whole uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits *= max(0, 5-len(parts)) // it stands for those that are left out
		}
		n, err := strconv.ParseUint(part, 0, 64)
		if err != nil || !numeral.MatchString(part) || n >= 1<<bits {
			return netip.Addr{}, false
		}
		whole = whole<<bits | n
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(whole)))), true //nolint:gosec // of 32 bits
}

// numeral is a number of those: decimal, octal behind a 0, or hexadecimal.
var numeral = regexp.MustCompile(`^(0[xX][0-9a-fA-F]+|[0-9]+)$`)

// insiders are the networks that nobody reaches from the world, beside those that
// netip knows: of IANA's registries of special-purpose addresses (RFC 6890).
var insiders = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),     // this network
	netip.MustParsePrefix("100.64.0.0/10"), // behind a provider's NAT (RFC 6598), and Tailscale's
	netip.MustParsePrefix("192.0.0.0/24"),  // protocols' own
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks (RFC 2544)
	netip.MustParsePrefix("fec0::/10"),     // site-local, of old (RFC 3879)
}

// translating are the networks of IPv6 in which addresses of IPv4 stand, and where in
// them: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), and those of old (RFC 4291).
var translating = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

// isInside says whether an address is this machine's or of a network of its own.
func isInside(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() ||
		slices.ContainsFunc(insiders, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return true
	}
	for _, t := range translating {
		if bytes := a.As16(); a.Is6() && t.network.Contains(a) {
			return isInside(netip.AddrFrom4([4]byte(bytes[t.at:])))
		}
	}
	return false
}

// refusal is the error that an answer other than a file is, or nil.
func refusal(answer *http.Response, what File) error {
	shown := Shown(what.URL)
	if at := answer.Request.URL.Host; at != "" && at != hostOf(what.URL) {
		shown += " (sent on to " + at + ")"
	}
	switch code := answer.StatusCode; {
	case code == http.StatusOK || code == http.StatusPartialContent:
		kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // none is as good as a wrong one
		if kind != "text/html" {
			return nil
		}
		return what.isPage(shown)
	case code == http.StatusNotFound || code == http.StatusGone:
		return ops.Errorf(ops.CodeNotFound, "there is nothing at %s (%s)", shown, answer.Status).
			WithHint("%s", what.doubted("is the address right? A browser shows what there is"))
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return denied(answer, what, shown)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return busy(answer, shown)
	default:
		return ops.Errorf(ops.CodeUnavailable, "download %s: the server answers %s", shown, answer.Status).WithHint("%s", what.doubted(elsewhere))
	}
}

// denied is the error of a server that does not give the file to this hive. Of one that
// another has sent on to, by a link that holds all that it asks for, that is not for
// want of access, unless it says so.
func denied(answer *http.Response, what File, shown string) error {
	at := answer.Request.URL.Host
	if answer.StatusCode == http.StatusForbidden && at != "" && at != hostOf(what.URL) && answer.Header.Get("X-Error-Code") == "" {
		return ops.Errorf(ops.CodeDenied, "download %s: it was sent on to %s, which answers %s", Shown(what.URL), at, answer.Status).
			WithHint("%s gave that link, so it is not access that is missing: the link has expired, or a proxy or firewall keeps the hive from %s; try again, or from another network", hostOf(what.URL), at)
	}
	hint := cmp.Or(what.Access, "download it in a browser, then `rbee model download` the file")
	return ops.Errorf(ops.CodeDenied, "%s is not given to everybody (%s)", shown, answer.Status).WithHint("%s", hint)
}

// longestPause is how long a server is left alone that asks for it. For one that
// wants more, nobody waits.
const longestPause = 5 * time.Minute

// busy is the error of a server that cannot answer now.
func busy(answer *http.Response, shown string) error {
	err := ops.Errorf(ops.CodeUnavailable, "download %s: the server answers %s", shown, answer.Status)
	after := retryAfter(answer.Header.Get("Retry-After"), time.Now())
	if after == 0 {
		return &again{err: err}
	}
	err = ops.Errorf(ops.CodeUnavailable, "%w and asks to be left alone for %s", err, readable(after))
	if after > longestPause {
		return final{err.WithHint("rbee does not wait that long: give the same command again then")}
	}
	return &again{err: err, after: after}
}

// readable is how long a server wants to be left alone, for a person.
func readable(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d >= never:
		return "years"
	case d >= 2*day:
		return fmt.Sprintf("%d days", d.Round(day)/day)
	}
	return ops.Shortly(d.Round(time.Second))
}

// never is the longest time that a server is read to ask for.
const never = 100 * 365 * 24 * time.Hour

// retryAfter reads the header of that name: seconds, or a date (RFC 9110,
// 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(0, min(seconds, int(never/time.Second)))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), never)
}

// contentRange reads "bytes FROM-LAST/TOTAL" (RFC 9110, 14.4); total is -1 for
// "*".
func contentRange(value string) (s span, total int64, ok bool) {
	rest, found := strings.CutPrefix(value, "bytes ")
	part, all, cut := strings.Cut(rest, "/")
	from, last, dash := strings.Cut(part, "-")
	if !found || !cut || !dash {
		return span{}, 0, false
	}
	var errs [3]error
	s.From, errs[0] = strconv.ParseInt(from, 10, 63)
	s.To, errs[1] = strconv.ParseInt(last, 10, 63)
	total = -1
	if all != "*" {
		total, errs[2] = strconv.ParseInt(all, 10, 63)
	}
	s.To++
	ok = errors.Join(errs[:]...) == nil && s.From >= 0 && s.From < s.To && (total < 0 || s.To <= total)
	return s, total, ok
}

// validator is what tells that a file is still the same, as If-Range takes it.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return h.Get("Last-Modified")
}
