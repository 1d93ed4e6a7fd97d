package sandbox_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/golang-jwt/jwt/v5"

	"graphrelay/relay/sandbox"
)

// keyPair makes a certificate as an operator would upload it.
func keyPair(t *testing.T, from, to time.Time) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, NotBefore: from,
		NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestAzidentityCertificate(t *testing.T) {
	now := time.Now()
	cert, key := keyPair(t, now.Add(-time.Hour), now.Add(time.Hour))
	stranger, strangersKey := keyPair(t, now.Add(-time.Hour), now.Add(time.Hour))
	d := start(t, sandbox.Options{Certificates: []*x509.Certificate{cert}})
	if d.Secret() != "" {
		t.Error("a secret was made up beside a certificate")
	}
	for _, chain := range []bool{false, true} { // with x5c MSAL still names the thumbprint
		token, err := certificateToken(d, cert, key, chain)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t, d, d.HTTPClient(), token}
		if g := c.send(mailbox, simple); g.status != 202 {
			t.Errorf("%d %s", g.status, g.body)
		}
	}
	_, err := certificateToken(d, stranger, strangersKey, false)
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse.StatusCode != 401 ||
		!strings.Contains(err.Error(), "AADSTS700027") {
		t.Errorf("a stranger's certificate: %v", err)
	}
}

func certificateToken(d *sandbox.Double, cert *x509.Certificate, key *rsa.PrivateKey, chain bool) (string, error) {
	credential, err := azidentity.NewClientCertificateCredential(d.TenantID(), d.ClientID(),
		[]*x509.Certificate{cert}, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: azure(d), DisableInstanceDiscovery: true,
			SendCertificateChain: chain})
	if err != nil {
		return "", err
	}
	token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}})
	return token.Token, err
}

// Every part of an assertion that Entra checks, made wrong one at a time.
func TestAssertions(t *testing.T) {
	now := time.Now()
	cert, key := keyPair(t, now.Add(-time.Hour), now.Add(time.Hour))
	_, strangersKey := keyPair(t, now, now.Add(time.Hour))
	expired, expiredKey := keyPair(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, sandbox.Options{Certificates: []*x509.Certificate{cert, expired}})
	audience := d.URL() + "/" + d.TenantID() + "/oauth2/v2.0/token"
	s256, s1, old := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw), sha256.Sum256(expired.Raw)
	for _, row := range []struct {
		name   string
		method jwt.SigningMethod
		key    any
		header map[string]any
		claims jwt.MapClaims // in place of the good ones; nil values remove them
		number int           // 0: accepted
	}{
		{name: "PS256 x5t#S256"},
		{name: "RS256 x5t", method: jwt.SigningMethodRS256,
			header: map[string]any{"x5t": base64.URLEncoding.EncodeToString(s1[:])}},
		{name: "MSAL's alphabet", header: map[string]any{"x5t#S256": base64.StdEncoding.EncodeToString(s256[:])}},
		{name: "the tenant as audience", claims: jwt.MapClaims{"aud": d.URL() + "/" + d.TenantID() + "/v2.0"}},
		{name: "no nbf", claims: jwt.MapClaims{"nbf": nil}},
		{name: "small clock skew", claims: jwt.MapClaims{"nbf": now.Add(4 * time.Minute).Unix()}},
		{name: "key of a stranger", key: strangersKey, number: 700027},
		{name: "no thumbprint", header: map[string]any{}, number: 700027},
		{name: "unknown thumbprint", header: map[string]any{"x5t#S256": "AAAA"}, number: 700027},
		{name: "certificate is over", key: expiredKey,
			header: map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(old[:])}, number: 700027},
		{name: "unsigned", method: jwt.SigningMethodNone, key: jwt.UnsafeAllowNoneSignatureType, number: 700027},
		{name: "HMAC with the public key", method: jwt.SigningMethodHS256,
			key: x509.MarshalPKCS1PublicKey(&key.PublicKey), number: 700027},
		{name: "EC key", method: jwt.SigningMethodES256, key: curve, number: 700027},
		{name: "expired", claims: jwt.MapClaims{"exp": now.Add(-6 * time.Minute).Unix()}, number: 700024},
		{name: "not yet valid", claims: jwt.MapClaims{"nbf": now.Add(6 * time.Minute).Unix()}, number: 700024},
		{name: "no exp", claims: jwt.MapClaims{"exp": nil}, number: 700024},
		{name: "other issuer", claims: jwt.MapClaims{"iss": "x"}, number: 700021},
		{name: "other subject", claims: jwt.MapClaims{"sub": "x"}, number: 700021},
		{name: "other audience", claims: jwt.MapClaims{"aud": "https://login.microsoftonline.com/x/v2.0"},
			number: 700023},
	} {
		t.Run(row.name, func(t *testing.T) {
			claims := jwt.MapClaims{"iss": d.ClientID(), "sub": d.ClientID(), "aud": audience,
				"exp": now.Add(time.Minute).Unix(), "nbf": now.Unix(), "jti": row.name}
			for name, value := range row.claims {
				if claims[name] = value; value == nil {
					delete(claims, name)
				}
			}
			if row.method == nil {
				row.method = jwt.SigningMethodPS256
			}
			if row.key == nil {
				row.key = key
			}
			token := jwt.NewWithClaims(row.method, claims)
			if row.header == nil {
				row.header = map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(s256[:])}
			}
			for name, value := range row.header {
				token.Header[name] = value
			}
			signed, err := token.SignedString(row.key)
			if err != nil {
				t.Fatal(err)
			}
			g := postToken(t, d, d.TenantID(), url.Values{
				"grant_type": {"client_credentials"}, "client_id": {d.ClientID()}, "scope": {scope},
				"client_assertion_type": {assertionType}, "client_assertion": {signed},
			})
			if row.number == 0 {
				checkTokenAnswer(t, g, 200, "", 0)
			} else {
				checkTokenAnswer(t, g, 401, "invalid_client", row.number)
			}
		})
	}
}
