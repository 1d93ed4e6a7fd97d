package graph

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/text"
)

// A server or a proxy may echo whatever it was sent, in any field and spelling. No
// token, secret or assertion of any shape comes out of an answer or of the log, and
// none stays known longer than it may be used.
func TestEchoedSecretsAreNotShown(t *testing.T) {
	token := "opaque/token+of.no~known_shape-" + strings.Repeat("x7Q", 40)
	for name, certificate := range map[string]bool{"secret": false, "certificate": true} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			cfg := d.config()
			if certificate {
				key, cert := selfSigned(t, time.Now().AddDate(1, 0, 0))
				d.cert, cfg.SecretFile, cfg.CertificateFile = cert, "", writeCertificate(t, key, cert)
			}
			var log bytes.Buffer
			cfg.Secrets = text.NewRedactor()
			cfg.Log = slog.New(slog.NewTextHandler(cfg.Secrets.Writer(&log), nil))
			d.login = func(w http.ResponseWriter, _ *http.Request) { grantToken(w, token, 3600) }
			d.send = func(n int, w http.ResponseWriter, r *http.Request, _ received) {
				echo(w, r, []int{400, 403, 503}[n%3])
			}
			c := mustNew(t, cfg)
			var said strings.Builder
			for range 3 {
				a := c.Send(within10s(t), address(t, "relay@contoso.com"), mail(sample))
				fmt.Fprintf(&said, "%+v\n", a)
			}
			d.login = func(w http.ResponseWriter, r *http.Request) { echo(w, r, 401) }
			if err := c.login.Renew(within10s(t), token, ""); err == nil {
				t.Error("the login succeeded")
			} else {
				fmt.Fprintf(&said, "%v\n", err)
			}
			if d.logins[0].Get("client_assertion") == "" == certificate {
				t.Error("there was no assertion")
			}
			for _, secret := range []string{token, testSecret, d.logins[0].Get("client_assertion")} {
				noPiece(t, said.String()+log.String(), secret)
				noPiece(t, said.String()+log.String(), base64.StdEncoding.EncodeToString([]byte(secret)))
			}
			if !strings.Contains(said.String(), "[secret]") {
				t.Errorf("nothing was echoed: %s", said.String())
			}
		})
	}
}

// echo answers with all that it was sent, wherever that fits.
func echo(w http.ResponseWriter, r *http.Request, status int) {
	_ = r.ParseForm()
	dump, _ := httputil.DumpRequest(r, false)
	all := string(dump) + r.PostForm.Encode() + " " + fmt.Sprint(r.PostForm)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	word := token + r.PostForm.Get("client_secret") + r.PostForm.Get("client_assertion")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", word)
	w.Header().Set("X-Ms-Request-Id", word)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{
			"code": word, "message": all, "innerError": map[string]any{"code": url.QueryEscape(word)},
		},
		"error_description": all,
		"correlation_id":    base64.StdEncoding.EncodeToString([]byte(r.PostForm.Get("client_assertion") + word)),
	})
	_, _ = io.WriteString(w, all)
}

// noPiece fails if a text has as much of a secret as would help anybody.
func noPiece(t *testing.T, in, secret string) {
	t.Helper()
	const piece = 24
	for i := 0; i+piece <= len(secret); i++ {
		if at := strings.Index(in, secret[i:i+piece]); at >= 0 {
			t.Errorf("%q of the secret is in ...%s", secret[i:i+piece], in[max(0, at-100):min(len(in), at+100)])
			return
		}
	}
	if len(secret) < piece && len(secret) > 0 && strings.Contains(in, secret) {
		t.Errorf("the secret %q is in %s", secret, in)
	}
}
