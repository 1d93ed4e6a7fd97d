package wiring

import (
	"context"
	"sync"

	"graphrelay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/entra"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/submission"
)

// Client is what sends and reads for an identity.
type Client struct {
	*largemail.Client
	Submission *submission.Client // nil where large mail does not go there
	outlook    *entra.Login       // of Submission
}

// Clients are those of the identities.
type Clients = map[config.Name]*Client

// NewClient makes the client of an identity, with the options that Graph returned. It
// reads the files of the credential, and does not use the network.
func NewClient(c *config.Config, id config.Identity, o graph.Config) (*Client, error) {
	g, err := largemail.New(o)
	if err != nil || !c.Delivery.Submit() {
		return &Client{Client: g}, err
	}
	login, err := g.Outlook()
	if err != nil {
		return nil, err
	}
	return &Client{g, submission.New(submission.Config{
		Address: SubmissionServer(id), Login: login, Roots: g.Roots(),
	}), login}, nil
}

// SubmissionServer is where the large mail of an identity is submitted, as host:port;
// empty where nobody knows.
func SubmissionServer(id config.Identity) string {
	if id.Endpoints != nil {
		return string(id.Endpoints.Submission)
	}
	return entra.Submission(id.Cloud)
}

// Run is that of the parts.
func (c *Client) Run(ctx context.Context) {
	var both sync.WaitGroup
	if c.Submission != nil {
		both.Go(func() { c.Submission.Run(ctx) })
	}
	c.Client.Run(ctx)
	both.Wait()
}

// Continue lets the logins go on where those of an earlier configuration are.
func (c *Client) Continue(old *Client) {
	c.Login().Continue(old.Login())
	if c.outlook != nil && old.outlook != nil {
		c.outlook.Continue(old.outlook)
	}
}

// Large is the way of what is too large for one request of Graph; nil for none.
func (c *Client) Large(cfg *config.Config) delivery.Large {
	switch {
	case cfg.Delivery.Upload():
		return delivery.InParts(c.Client)
	case c.Submission != nil:
		return delivery.Whole(c.Submission)
	}
	return nil
}
