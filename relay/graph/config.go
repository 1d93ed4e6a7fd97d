package graph

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/url"
	"time"

	"graphrelay/relay/entra"
)

// Config describes one identity. The zero value of an optional field means
// its default.
type Config struct {
	Name string // for logs
	entra.Identity

	// Cloud is public (the default), usgov, usgov-dod or china. Login and Graph
	// replace it, both or neither, and must be https.
	Cloud        string
	Login, Graph *url.URL

	CAFile string // PEM roots, added to those of the system

	// Proxy is the HTTP proxy for both endpoints, without a password; ProxyFile
	// holds its URL where there is one. Without either HTTPS_PROXY and NO_PROXY
	// are followed.
	Proxy     *url.URL
	ProxyFile string

	MaxConcurrent int              // expected concurrent sends, sizes the pool of connections; 0 is 64
	Now           func() time.Time // nil is time.Now
	Log           *slog.Logger     // nil is silence
	UserAgent     string           // product and version; empty is "graphrelay"

	// Dial opens the connections to both endpoints and to the proxy, in place of
	// TCP; TLS is spoken over them all the same. nil is TCP. It is what lets a
	// whole relay run without a network, under a clock that is not real.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// OnCredentialChange is called by Run after a changed credential file was
	// loaded: what Graph or Entra refused may pass now. It must not block.
	OnCredentialChange func()

	// OnToken is called for a new token that may end a refusal: see entra.Config.
	// It may be nil, and must not block.
	OnToken func(again, roles bool)
}

// withDefaults fills in the optional fields and checks the rest. It reads no file.
func (cfg Config) withDefaults() (Config, error) {
	if err := cfg.Check(); err != nil {
		return cfg, err
	}
	e, err := cfg.endpoints().Resolve(cfg.Cloud)
	if err != nil {
		return cfg, err
	}
	cfg.Login, cfg.Graph = e.Login, e.Graph
	if err := cfg.checkProxy(); err != nil {
		return cfg, err
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if cfg.OnCredentialChange == nil {
		cfg.OnCredentialChange = func() {}
	}
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "graphrelay")
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)).With("identity", cfg.Name)
	return cfg, nil
}

func (cfg Config) endpoints() entra.Endpoints {
	return entra.Endpoints{Login: cfg.Login, Graph: cfg.Graph}
}
