package graph

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"graphrelay/relay/entra"

	"golang.org/x/net/http/httpproxy"
)

// proxy chooses the HTTP proxy of one identity. Everything that goes through
// it is https, so it sees a CONNECT with a host name, never a token.
//
// Its URL may carry a password where it comes from a file or the environment,
// so no error here repeats it.
type proxy struct {
	fixed       atomic.Pointer[url.URL] // nil: the environment decides
	environment func(*url.URL) (*url.URL, error)
}

func newProxy(cfg Config) (*proxy, error) {
	env := httpproxy.FromEnvironment()
	p := &proxy{environment: env.ProxyFunc()}
	if cfg.ProxyFile != "" || cfg.Proxy != nil {
		return p, p.load(cfg)
	}
	if !usableInEnvironment(env.HTTPSProxy) {
		return nil, errors.New("the environment variable HTTPS_PROXY is not a URL: " +
			"set it as in http://proxy:3128, or unset it")
	}
	return p, nil
}

// usableInEnvironment refuses what httpproxy would ignore silently, and so connect
// without the proxy that somebody wanted.
func usableInEnvironment(text string) bool {
	if text == "" {
		return true
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && strings.Contains(" http https socks5 socks5h ", " "+u.Scheme+" ")
}

// load uses the proxy of the configuration, from its file if it has one.
func (p *proxy) load(cfg Config) error {
	u := cfg.Proxy
	if cfg.ProxyFile != "" {
		var err error
		if u, err = readProxyFile(cfg.ProxyFile); err != nil {
			return err
		}
	}
	p.fixed.Store(u)
	return nil
}

func readProxyFile(path string) (*url.URL, error) {
	data, err := entra.ReadFile("proxy", path)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimSpace(strings.TrimPrefix(string(data), "\xef\xbb\xbf")))
	if err != nil || !isProxyURL(u) {
		return nil, fmt.Errorf("proxy file %s holds no URL of a proxy: write http://user:password@host:port "+
			"alone on one line, with special characters of the password as %%XX", path)
	}
	return u, nil
}

func isProxyURL(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == ""
}

func (cfg Config) checkProxy() error {
	switch {
	case cfg.Proxy != nil && cfg.ProxyFile != "":
		return errors.New("both a proxy and a proxy file are set: set one of them")
	case cfg.Proxy != nil && cfg.Proxy.User != nil:
		return errors.New("the proxy's URL holds a user or a password: " +
			"write the whole URL into a file and set it as proxy file")
	case cfg.Proxy != nil && !isProxyURL(cfg.Proxy):
		return fmt.Errorf("the proxy %q must be of the form http://host:port", cfg.Proxy.Redacted())
	}
	return nil
}

// choose is what http.Transport asks for each connection.
func (p *proxy) choose(req *http.Request) (*url.URL, error) {
	if req.URL.Scheme != "https" {
		return nil, errors.New("a request in clear text was not sent")
	}
	if u := p.fixed.Load(); u != nil {
		return u, nil
	}
	return p.environment(req.URL)
}

// proxyRefused begins the text of an error that says so. It is a text, for
// azidentity passes on nothing else.
const proxyRefused = "the proxy refuses CONNECT"

// proxyRefusal turns a refusal of the proxy into an error that differs from one of
// the server behind it.
func proxyRefusal(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%s: %s", proxyRefused, resp.Status)
}

// secrets are what must not be shown: the password of the proxy, and its form in
// Proxy-Authorization.
func (p *proxy) secrets(to *url.URL) []string {
	u := p.fixed.Load()
	if u == nil {
		u, _ = p.environment(to)
	}
	if u == nil || u.User == nil {
		return nil
	}
	password, _ := u.User.Password()
	_, escaped, _ := strings.Cut(u.User.String(), ":")
	return []string{password, escaped, base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))}
}
