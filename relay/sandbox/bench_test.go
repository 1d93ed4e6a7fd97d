package sandbox_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"graphrelay/relay/sandbox"
)

// BenchmarkSendMail is the cost of one request of 10 KB over a kept connection,
// client and TLS included: what the double takes away beside a relay.
func BenchmarkSendMail(b *testing.B) {
	body := encode(simple + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 128))
	for name, keep := range map[string]int{"counts only": -1, "records": 1000} {
		b.Run(name, func(b *testing.B) {
			d := start(b, sandbox.Options{Keep: keep})
			c := signIn(b, d)
			b.ReportAllocs()
			for b.Loop() {
				if g := c.do(c.request(mailbox, "text/plain", body)); g.status != 202 {
					b.Fatalf("%d %s", g.status, g.body)
				}
			}
		})
	}
}

// BenchmarkHandler is the double's own share of it.
func BenchmarkHandler(b *testing.B) {
	body := encode(simple + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 128))
	for name, keep := range map[string]int{"counts only": -1, "records": 1000} {
		b.Run(name, func(b *testing.B) {
			d := start(b, sandbox.Options{Keep: keep})
			token := tokenFor(b, d)
			handler := d.Handler()
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/v1.0/users/"+mailbox+"/sendMail", bytes.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Content-Type", "text/plain")
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != 202 {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
}
