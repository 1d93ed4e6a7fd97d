package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokens issues access tokens and knows those it issued.
//
// They are signed with ES256 where Entra signs with RS256: to a client a Graph
// token is opaque [D access-tokens], and an RSA key would cost each test a tenth of a second.
type tokens struct {
	o     Options
	key   *ecdsa.PrivateKey
	keyID string

	mu      sync.RWMutex
	issued  map[string]grant
	era     int       // a token of an earlier one was revoked
	revoked time.Time // when this era began
}

// grant is what the double remembers of a token.
type grant struct {
	audience string
	issued   time.Time
	expires  time.Time
	roles    []string
	era      int
}

// isGraph reports whether audience is Graph in one of Microsoft's clouds.
func isGraph(audience string) bool {
	switch strings.TrimSuffix(audience, "/") {
	case "https://graph.microsoft.com", "https://graph.microsoft.us",
		"https://dod-graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn",
		"00000003-0000-0000-c000-000000000000":
		return true
	}
	return false
}

func newTokens(o Options) (*tokens, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &tokens{o: o, key: key, keyID: rand.Text(), issued: map[string]grant{}}, nil
}

// issue makes a token for audience and forgets the expired ones.
func (t *tokens) issue(audience, issuer string, roles []string) (string, error) {
	now := t.o.Now()
	g := grant{audience: audience, issued: now, expires: now.Add(t.o.TokenLifetime), roles: roles}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, t.claims(g, issuer, roles))
	token.Header["kid"], token.Header["x5t"] = t.keyID, t.keyID
	signed, err := token.SignedString(t.key)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, g := range t.issued {
		if now.Sub(g.expires) > time.Hour { // kept so long to be told apart from forgeries
			delete(t.issued, old)
		}
	}
	g.era = t.era
	t.issued[signed] = g
	return signed, nil
}

// claims are those of a v1.0 access token of an application [D
// access-token-claims-reference].
func (t *tokens) claims(g grant, issuer string, roles []string) jwt.MapClaims {
	claims := jwt.MapClaims{
		"aud": g.audience, "iss": issuer, "iat": g.issued.Unix(), "nbf": g.issued.Unix(),
		"exp": g.expires.Unix(), "appid": t.o.ClientID, "appidacr": "1", "idp": issuer,
		"idtyp": "app", "oid": t.o.ClientID, "sub": t.o.ClientID, "tid": t.o.TenantID,
		"uti": rand.Text(), "ver": "1.0",
	}
	if len(roles) > 0 {
		claims["roles"] = roles
	}
	return claims
}

// check says why Graph refuses an Authorization header, or nil. The texts are
// those the service shows [K]; only status and code are documented.
func (t *tokens) check(authorization string) *answer { return t.checkFor(authorization, isGraph) }

// isOutlook reports whether audience is Exchange Online itself.
func isOutlook(audience string) bool {
	switch strings.TrimSuffix(audience, "/") {
	case "https://outlook.office365.com", "https://outlook.office.com", "https://outlook.office365.us",
		"https://partner.outlook.cn":
		return true
	}
	return false
}

func (t *tokens) checkFor(authorization string, audience func(string) bool) *answer {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	if authorization == "" || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return unauthorized("Access token is empty.")
	}
	t.mu.RLock()
	g, known := t.issued[token]
	era, revoked := t.era, t.revoked
	t.mu.RUnlock()
	switch {
	case !known:
		return unauthorized(t.whyUnknown(token))
	case !t.o.Now().Before(g.expires):
		return unauthorized("Lifetime validation failed, the token is expired.")
	case g.era < era:
		return claimsChallenge(revoked)
	case !audience(g.audience):
		return unauthorized("Access token validation failure. Invalid audience.")
	}
	return nil
}

// consents are the permissions that a checked token carries.
func (t *tokens) consents(authorization string) []string {
	_, token, _ := strings.Cut(authorization, " ")
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.issued[strings.TrimSpace(token)].roles
}

func (t *tokens) whyUnknown(token string) string {
	if strings.Count(token, ".") != 2 {
		return "CompactToken parsing failed with error code: 80049217"
	}
	return "Signature is invalid."
}

// RevokeTokens makes Graph refuse every token issued so far with the claims
// challenge of continuous access evaluation; a new token is accepted.
func (d *Double) RevokeTokens() {
	d.tokens.mu.Lock()
	defer d.tokens.mu.Unlock()
	d.tokens.era++
	d.tokens.revoked = d.tokens.o.Now()
}

// ForgetTokens makes Graph refuse every token issued so far as one whose
// signature it cannot verify, without a claims challenge.
func (d *Double) ForgetTokens() {
	d.tokens.mu.Lock()
	defer d.tokens.mu.Unlock()
	clear(d.tokens.issued)
}

// challenge is the value of the claims parameter: the token must be issued
// after the revocation [D claims-challenge].
func challenge(revoked time.Time) string {
	claims := fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, revoked.Unix())
	return base64.StdEncoding.EncodeToString([]byte(claims))
}

// jwk is the public key as in the keys document.
func (t *tokens) jwk() map[string]string {
	raw, err := t.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		return nil
	}
	half := (len(raw) - 1) / 2
	return map[string]string{
		"kty": "EC", "use": "sig", "crv": "P-256", "alg": "ES256", "kid": t.keyID,
		"x": base64.RawURLEncoding.EncodeToString(raw[1 : 1+half]),
		"y": base64.RawURLEncoding.EncodeToString(raw[1+half:]),
	}
}

// newID makes a random UUID, as Microsoft writes request and trace ids.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
