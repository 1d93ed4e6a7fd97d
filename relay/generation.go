package relay

import (
	"context"
	"fmt"
	"time"

	"graphrelay/config"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/keypair"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// generation is everything that is built from one configuration: a reload builds
// the next one as a whole and swaps it in, or leaves the present one alone.
type generation struct {
	cfg        *config.Config
	since      time.Time
	identities map[config.Name]*largemail.Client
	keyPair    *keypair.Pair // nil without smtp.tls
	auditor    *verify.Auditor
	retire     context.CancelFunc
}

// newGeneration reads the credentials and certificates that c names. It needs
// no network and opens nothing that must be closed.
func (r *Relay) newGeneration(c *config.Config) (*generation, error) {
	g := &generation{cfg: c, since: time.Now(), identities: map[config.Name]*largemail.Client{}, retire: func() {}}
	for _, id := range c.Identities {
		options := wiring.Graph(id, r.version, r.log, func() { r.delivery.ProbeNow() })
		options.OnToken = func(again, roles bool) { r.delivery.LoggedIn(string(id.Name), again, roles) }
		client, err := largemail.New(options)
		if err != nil {
			return nil, fmt.Errorf("identity %s: %w", id.Name, err)
		}
		g.identities[id.Name] = client
	}
	if certificate, key := wiring.KeyPair(c); certificate != "" {
		pair, err := keypair.Load(certificate, key, r.log)
		if err != nil {
			return nil, fmt.Errorf("smtp.tls: %w", err)
		}
		g.keyPair = pair
	}
	return g, nil
}

// continueLogins makes the identities of g go on where those of old are.
func (g *generation) continueLogins(old *generation) {
	for name, client := range g.identities {
		if was := old.identities[name]; was != nil {
			client.Login().Continue(was.Login())
		}
	}
}

// cfg returns the configuration in force. Call it again after every wait.
func (r *Relay) cfg() *config.Config { return r.now.Load().cfg }

// runIdentities keeps tokens ready and audits until the next generation
// replaces g.
func (r *Relay) runIdentities(g *generation) {
	ctx, retire := context.WithCancel(r.running)
	g.retire = retire
	for _, c := range g.identities {
		r.parts.Go(func() { c.Run(ctx) })
	}
	r.parts.Go(func() { g.auditor.Run(ctx) })
	r.parts.Go(func() { r.delivery.CheckLookup(ctx, wiring.Lookups(g.cfg)) })
}
