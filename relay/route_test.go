package relay

import "testing"

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
