package relay

import (
	"testing"

	"graphrelay/config"
	"graphrelay/relay/submission"
	"graphrelay/relay/wiring"
)

// The limit holds without upload, too: larger mail that was accepted under
// another configuration must be held, and not tried as it is.
func TestRouteOfLargeMail(t *testing.T) {
	for word, uploads := range map[string]bool{"upload": true, "smtp": true, `"off"`: false} {
		c := configured(t, "delivery: {large_messages: "+word+"}\n")
		r := newRelay(Options{})
		client := &wiring.Client{}
		if word == "smtp" {
			client.Submission = &submission.Client{}
		}
		r.now.Store(&generation{cfg: c, identities: wiring.Clients{"default": client}})
		route, ok := r.route(c.DefaultSender)
		if !ok || (route.Large != nil) != uploads || route.MIMELimit != int64(c.Delivery.MIMELimit) {
			t.Errorf("large_messages: %s: %+v", word, route)
		}
	}
}

// configured is the least configuration that there is, and more.
func configured(t *testing.T, more string) *config.Config {
	t.Helper()
	const least = `
identities:
  - tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    certificate_file: entra.pem
senders:
  - address: a@contoso.com
`
	c, err := config.Parse("config.yaml", []byte(least+more), "/etc/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
