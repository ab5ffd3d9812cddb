package fetch

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/net/http/httpproxy"

	"rbee.dev/rbee/ops"
)

// File is one that a server has.
type File struct {
	URL    string // http or https
	Size   int64  // in bytes, -1 when nobody says
	SHA256 string // in hex, "" when nobody says
	// Token is given to the URL's own scheme, host and port, and to nobody that
	// these redirect to.
	Token string
	// Begins is what the file's first bytes must be; what begins in another way
	// is refused before it is downloaded.
	Begins string
	// Kind is what errors call it; "" is a GGUF file.
	Kind string
	// Access is a hint on how to get what the server denies, or "".
	Access string
	// Away is a hint on what else there is where the server is not reached, or "".
	Away string
	// Unpacks says that the file is to be unpacked beside itself, into as much again
	// at the least, so that there must be room for both.
	Unpacks bool
	// Lister is the host whose list names the address, which then nobody has typed;
	// "" is a person.
	Lister string
}

// Result is what came.
type Result struct {
	Size      int64  // in bytes
	SHA256    string // in hex
	Validator string // the server's mark for this version of the file, as [Fetcher.Look] tells it
}

// Options say how to download; the zero value is a good one.
type Options struct {
	Connections  int                                                 // at most, to one server; 0 is 4
	ParallelFrom int64                                               // bytes that are missing from which on several connections are used; 0 is 64 MiB
	Fast         int64                                               // bytes a second from which on one connection is enough; 0 is 150 MB
	Piece        int64                                               // bytes that a connection takes at a time; 0 is 8 MiB
	Tries        int                                                 // in a row that bring nothing; 0 is 10
	Backoff      func() backoff.BackOff                              // pauses between tries; nil is 0.5 s growing to 30 s
	Stalled      time.Duration                                       // how long a server may send nothing before it is asked again; 0 is 30 s
	Hush         time.Duration                                       // after how much of that it is said; 0 is 10 s
	Env          func(key string) string                             // also of proxies; nil is [os.Getenv]
	Hive         string                                              // its name, for hints; "" is the queen's own
	Transport    http.RoundTripper                                   // nil is one of its own that honours proxies
	Schemes      map[string]http.RoundTripper                        // for URLs of other schemes than http and https; see Passing and Final
	Lookup       func(context.Context, string) ([]netip.Addr, error) // of a host's addresses; nil is the system's
}

// Fetcher downloads files. It is safe for several goroutines.
type Fetcher struct {
	o      Options
	client *http.Client
	own    *http.Transport // nil with one that was given
}

// New makes a fetcher; [Fetcher.Close] gives its connections up.
func New(o Options) *Fetcher {
	setDefaults(&o)
	f := &Fetcher{o: o}
	if o.Transport == nil {
		f.own = &http.Transport{
			Proxy: f.proxy, DisableCompression: true, Protocols: new(http.Protocols),
			TLSHandshakeTimeout: 15 * time.Second, MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: 30 * time.Second,
		}
		f.own.Protocols.SetHTTP1(true) // HTTP/2 would put all connections into one
		for scheme, t := range o.Schemes {
			f.own.RegisterProtocol(scheme, t)
		}
		f.o.Transport = f.own
	}
	f.client = &http.Client{Transport: f.o.Transport, CheckRedirect: f.checkRedirect}
	return f
}

// proxy is what to reach a server through, by what the environment says now.
func (f *Fetcher) proxy(r *http.Request) (*url.URL, error) {
	either := func(name string) string { return cmp.Or(f.o.Env(name), f.o.Env(strings.ToLower(name))) }
	c := httpproxy.Config{HTTPProxy: either("HTTP_PROXY"), HTTPSProxy: either("HTTPS_PROXY"), NoProxy: either("NO_PROXY")}
	return c.ProxyFunc()(r.URL)
}

// through is the proxy by which a server is reached, for a person; "" is none.
func (f *Fetcher) through(to *url.URL) string {
	if f.own == nil {
		return ""
	}
	p, err := f.proxy(&http.Request{URL: to})
	if err != nil || p == nil {
		return ""
	}
	return Shown(p.String())
}

func setDefaults(o *Options) {
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.ParallelFrom == 0 {
		o.ParallelFrom = 64 << 20
	}
	if o.Fast == 0 {
		o.Fast = 150e6
	}
	if o.Piece == 0 {
		o.Piece = 8 << 20
	}
	if o.Tries == 0 {
		o.Tries = 10
	}
	if o.Stalled == 0 {
		o.Stalled = 30 * time.Second
	}
	if o.Hush == 0 {
		o.Hush = 10 * time.Second
	}
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Hive == "" {
		o.Hive = ops.LocalHive
	}
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Backoff == nil {
		o.Backoff = func() backoff.BackOff {
			b := backoff.NewExponentialBackOff()
			b.MaxInterval = 30 * time.Second
			return b
		}
	}
}

// Close gives idle connections up.
func (f *Fetcher) Close() {
	if f.own != nil {
		f.own.CloseIdleConnections()
	}
}
