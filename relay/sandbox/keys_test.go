package sandbox_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"graphrelay/relay/sandbox"
)

// keyCaller changes the keys of the application with a proof.
type keyCaller struct {
	*client
	key   *rsa.PrivateKey
	cert  *x509.Certificate
	now   time.Time
	iss   string
	aud   string
	life  time.Duration
	extra string
}

func (k keyCaller) proof() string {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"aud": k.aud, "iss": k.iss, "nbf": k.now.Unix(), "exp": k.now.Add(k.life).Unix()})
	hash := crypto.SHA1.New()
	hash.Write(k.cert.Raw)
	token.Header["x5t"] = base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
	signed, err := token.SignedString(k.key)
	if err != nil {
		k.t.Fatal(err)
	}
	return signed
}

func (k keyCaller) post(path string, body map[string]any) got {
	body["proof"] = k.proof() + k.extra
	data, _ := json.Marshal(body)
	r, _ := http.NewRequest(http.MethodPost, k.d.URL()+"/v1.0/"+path, strings.NewReader(string(data)))
	r.Header.Set("Authorization", "Bearer "+k.token)
	r.Header.Set("Content-Type", "application/json")
	return k.do(r)
}

func (k keyCaller) add(cert *x509.Certificate) got {
	return k.post("applications/"+sandbox.DefaultObjectID+"/addKey", map[string]any{
		"keyCredential": map[string]string{"type": "AsymmetricX509Cert", "usage": "Verify",
			"key": base64.StdEncoding.EncodeToString(cert.Raw)}, "passwordCredential": nil})
}

func newKeyCaller(t *testing.T) keyCaller {
	now := time.Now()
	cert, key := keyPair(t, now.Add(-time.Hour), now.AddDate(0, 0, 20))
	d := start(t, sandbox.Options{Secret: "s", Certificates: []*x509.Certificate{cert}})
	return keyCaller{client: signIn(t, d), key: key, cert: cert, now: now, iss: sandbox.DefaultObjectID,
		aud: "00000002-0000-0000-c000-000000000000", life: 10 * time.Minute}
}

// The double refuses what the documents say is refused, and adds and removes the rest.
func TestKeysAreAddedAndRemoved(t *testing.T) {
	good := newKeyCaller(t)
	next, _ := keyPair(t, good.now.Add(-time.Minute), good.now.AddDate(2, 0, 0))
	expired, _ := keyPair(t, good.now.Add(-2*time.Hour), good.now.Add(-time.Hour))
	stranger, strangerKey := keyPair(t, good.now.Add(-time.Hour), good.now.AddDate(1, 0, 0))
	for name, row := range map[string]struct {
		change func(*keyCaller)
		rules  sandbox.KeyRules
		cert   *x509.Certificate
		code   string
	}{
		"a proof by the client ID":  {change: func(k *keyCaller) { k.iss = sandbox.DefaultClientID }},
		"a proof for Graph":         {change: func(k *keyCaller) { k.aud = "00000003-0000-0000-c000-000000000000" }},
		"a proof of an hour":        {change: func(k *keyCaller) { k.life = time.Hour }},
		"a proof that has expired":  {change: func(k *keyCaller) { k.now = k.now.Add(-time.Hour) }},
		"a proof that is padded":    {change: func(k *keyCaller) { k.extra = "=" }},
		"a proof by an unknown key": {change: func(k *keyCaller) { k.key, k.cert = strangerKey, stranger }},
		"a policy caps the lifetime": {rules: sandbox.KeyRules{MaxLifetime: time.Hour},
			code: "CredentialInvalidLifetimeAsPerAppPolicy"},
		"a policy forbids new keys": {rules: sandbox.KeyRules{Blocked: true},
			code: "CredentialTypeNotAllowedAsPerAppPolicy"},
		"an expired certificate":  {cert: expired, code: "KeyCredentialsInvalidEndDate"},
		"a certificate of before": {cert: good.cert, code: "Request_BadRequest"},
	} {
		k := good
		if row.change != nil {
			row.change(&k)
		}
		if row.code == "" {
			row.code = "Authentication_MissingOrMalformed"
		}
		if row.cert == nil {
			row.cert = next
		}
		k.d.SetKeyRules(row.rules)
		if g := k.add(row.cert); g.code() != row.code {
			t.Errorf("%s: %d %s", name, g.status, g.body)
		}
	}
	good.d.SetKeyRules(sandbox.KeyRules{})
	g := good.add(next)
	var added struct{ KeyID, CustomKeyIdentifier string }
	if err := json.Unmarshal(g.body, &added); err != nil || g.status != 200 || added.KeyID == "" {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if keys := good.d.Keys(); len(keys) != 2 || keys[1].Thumbprint != added.CustomKeyIdentifier {
		t.Fatal(keys)
	}
	path := "applications(appId='" + sandbox.DefaultClientID + "')/removeKey"
	if g := good.post(path, map[string]any{"keyId": added.KeyID}); g.status != 204 || len(good.d.Keys()) != 1 {
		t.Errorf("%d %s", g.status, g.body)
	}
	if g := good.post(path, map[string]any{"keyId": added.KeyID}); g.code() != "Request_BadRequest" {
		t.Errorf("%d %s", g.status, g.body)
	}
}

// Nobody adds a key once all have expired.
func TestAnExpiredKeyProvesNothing(t *testing.T) {
	k := newKeyCaller(t)
	k.d.Advance(21 * 24 * time.Hour)
	k.now, k.token = k.now.AddDate(0, 0, 21), tokenFor(t, k.d)
	next, _ := keyPair(t, k.now, k.now.AddDate(1, 0, 0))
	if g := k.add(next); g.code() != "Authentication_MissingOrMalformed" {
		t.Errorf("%d %s", g.status, g.body)
	}
}

// Only an application with that permission reads its own registration.
func TestKeysAreListedByPermission(t *testing.T) {
	k := newKeyCaller(t)
	read := func() got {
		r, _ := http.NewRequest(http.MethodGet, k.d.URL()+"/v1.0/applications/"+sandbox.DefaultObjectID, nil)
		r.Header.Set("Authorization", "Bearer "+k.token)
		return k.do(r)
	}
	if g := read(); g.code() != "Authorization_RequestDenied" {
		t.Errorf("%d %s", g.status, g.body)
	}
	k.d.SetKeyRules(sandbox.KeyRules{Readable: true})
	if g := read(); g.status != 200 || !strings.Contains(string(g.body), k.d.Keys()[0].ID) {
		t.Errorf("%d %s", g.status, g.body)
	}
}

// A new key is refused by some of the login servers until it has reached them all.
func TestANewKeyPropagates(t *testing.T) {
	k := newKeyCaller(t)
	k.d.SetKeyRules(sandbox.KeyRules{Propagation: 7 * time.Minute})
	cert, key := keyPair(t, k.now.Add(-time.Minute), k.now.AddDate(1, 0, 0))
	if g := k.add(cert); g.status != 200 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	logins := func() (worked int) {
		for range 6 {
			if _, err := certificateToken(k.d, cert, key, false); err == nil {
				worked++
			}
		}
		return worked
	}
	for _, want := range []int{2, 4, 6} {
		if got := logins(); got != want {
			t.Errorf("%d of 6 logins worked, want %d", got, want)
		}
		k.d.Advance(4 * time.Minute)
	}
}
