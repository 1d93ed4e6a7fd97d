package wiring

import (
	"context"
	"log/slog"
	"os"
	"time"

	"graphrelay/config"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/renewal"
	"graphrelay/relay/verify"
)

// Renewals returns what renews the certificates of the running relay.
func Renewals(c *config.Config, clients Clients, version string, log *slog.Logger) renewal.Group {
	group := renewal.Group{}
	for _, id := range c.Identities {
		if id.RenewsItself() {
			client := clients[id.Name]
			o := Renewal(id, version, log)
			o.Service = running{client, audit(c, id, client)}
			group[string(id.Name)] = renewal.New(o)
		}
	}
	return group
}

// Renewal returns how an identity renews its certificate. The caller adds the
// service.
func Renewal(id config.Identity, version string, log *slog.Logger) renewal.Config {
	host, _ := os.Hostname()
	return renewal.Config{
		Identity: string(id.Name), File: string(id.CertificateFile), Host: host, Log: log,
		Tenant: renewal.Graph{Config: Graph(id, version, nil, nil), ObjectID: string(id.AppObjectID)},
	}
}

// Verification returns what a renewal verifies of an identity, with a client of its
// own.
func Verification(c *config.Config, id config.Identity, version string) func(context.Context) error {
	return func(ctx context.Context) error {
		client, err := largemail.New(Graph(id, version, slog.New(slog.DiscardHandler), nil))
		if err != nil {
			return err
		}
		defer client.Close()
		return audit(c, id, client).Prove(ctx, time.Now())
	}
}

// running is the service that this process is.
type running struct {
	client  *Client
	audited verify.Audited
}

func (r running) Sent(_ context.Context, thumbprint string) bool {
	c := r.client.Credential()
	return c.Sent && c.Thumbprint == thumbprint
}

func (r running) Verify(ctx context.Context) error { return r.audited.Prove(ctx, time.Now()) }
