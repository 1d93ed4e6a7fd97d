package relay

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"graphrelay/config"
)

// The limit holds without upload, too: larger mail that was accepted under
// another configuration must be held, and not tried as it is.
func TestRouteOfLargeMail(t *testing.T) {
	for word, uploads := range map[string]bool{"upload": true, `"off"`: false} {
		c := configured(t, "delivery: {large_messages: "+word+"}\n")
		r := newRelay(Options{})
		r.now.Store(&generation{cfg: c})
		route, ok := r.route(c.DefaultSender)
		if !ok || (route.Uploader != nil) != uploads || route.MIMELimit != int64(c.Delivery.MIMELimit) {
			t.Errorf("large_messages: %s: %+v", word, route)
		}
	}
}

// An address that cannot be listened on is named by its key.
func TestListenHint(t *testing.T) {
	for _, c := range []struct {
		key, address string
		err          error
		want         string
	}{
		{"console.address", "127.0.0.1:8025", syscall.EADDRINUSE, "choose another address in console.address"},
		{"admin.address", "unix:/run/graphrelay/admin.sock", syscall.EADDRINUSE, "ss -lxp shows it"},
		{"smtp.listeners", "127.0.0.1:25", syscall.EACCES, "CAP_NET_BIND_SERVICE"},
		{"admin.address", "unix:/run/x/admin.sock", syscall.EACCES, "cannot write to the folder of unix:/run/x/admin.sock"},
		{"admin.address", "unix:/run/x/admin.sock", syscall.ENOENT, "must exist"},
	} {
		if err := listenHint(c.key, c.address, c.err); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.key, err)
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
