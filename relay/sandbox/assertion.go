package sandbox

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" // the x5t header is a SHA-1 thumbprint by definition
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// keyFault says, in Entra's words, why an assertion has no key to verify it.
type keyFault string

const (
	keyUnknown keyFault = "The key was not found"
	keyExpired keyFault = "The key used is expired"
)

func (k keyFault) Error() string { return string(k) }

// checkAssertion verifies the signed assertion of a certificate credential as
// [D certificate-credentials] describes it: PS256 or RS256,
// the certificate named by thumbprint, aud the token endpoint or the tenant's
// authority, iss and sub the application, exp and nbf around now. The numbers
// of the last three refusals are [K].
func (d *Double) checkAssertion(r *http.Request, tenant string) *answer {
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return missing("client_assertion_type")
	}
	if d.federated(r.PostForm.Get("client_assertion")) {
		return d.checkFederated(r)
	}
	claims := jwt.RegisteredClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "PS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(r.PostForm.Get("client_assertion"), &claims,
		d.signerAmong(d.tenant.keysAtLogin(d.o.Now())))
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return invalidClient(50027, "JWT token is invalid or malformed.")
	case err != nil:
		return invalidClient(700027,
			fmt.Sprintf("Client assertion failed signature validation. [Reason - %s.]", reason(err)))
	case !d.inTime(claims):
		return invalidClient(700024,
			fmt.Sprintf("Client assertion is not within its valid time range. Current time: %s.",
				d.o.Now().UTC().Format(time.RFC3339)))
	case !d.names(claims.Issuer) || !d.names(claims.Subject):
		return invalidClient(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
	case !slices.ContainsFunc(claims.Audience, func(a string) bool { return isAudience(a, r.Host, tenant) }):
		return invalidClient(700023, "Client assertion audience claim does not match Realm issuer.")
	}
	return nil
}

func invalidClient(number int, text string) *answer {
	return entraError(http.StatusUnauthorized, "invalid_client", number, text)
}

// reason is Entra's wording for why a signature did not verify.
func reason(err error) string {
	var fault keyFault
	if errors.As(err, &fault) {
		return fault.Error()
	}
	return "The provided signature value did not match the expected signature value"
}

func (d *Double) names(id string) bool { return strings.EqualFold(id, d.o.ClientID) }

// inTime demands exp and, where present, nbf; Entra allows five minutes of
// clock skew [K].
func (d *Double) inTime(claims jwt.RegisteredClaims) bool {
	const skew = 5 * time.Minute
	now := d.o.Now()
	if claims.ExpiresAt == nil || now.After(claims.ExpiresAt.Add(skew)) {
		return false
	}
	return claims.NotBefore == nil || !now.Add(skew).Before(claims.NotBefore.Time)
}

// isAudience accepts the token endpoint and the issuer of the tenant, at the
// host the client used.
func isAudience(audience, host, tenant string) bool {
	base := "https://" + host + "/" + tenant
	return strings.EqualFold(audience, base+"/oauth2/v2.0/token") || strings.EqualFold(audience, base+"/v2.0")
}

// signerAmong finds the registered certificate that the header of a signed token
// names by x5t#S256, x5t or kid.
func (d *Double) signerAmong(keys []Key) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		for _, k := range keys {
			public, isRSA := k.cert.PublicKey.(*rsa.PublicKey)
			if !isRSA || !namesCertificate(token.Header, k.cert) {
				continue
			}
			if d.o.Now().After(k.cert.NotAfter) {
				return nil, keyExpired
			}
			return public, nil
		}
		return nil, keyUnknown
	}
}

func namesCertificate(header map[string]any, cert *x509.Certificate) bool {
	s256, s1 := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw)
	if given, ok := header["x5t#S256"].(string); ok {
		return isThumbprint(given, s256[:])
	}
	if given, ok := header["x5t"].(string); ok {
		return isThumbprint(given, s1[:])
	}
	given, ok := header["kid"].(string)
	return ok && strings.EqualFold(given, hex.EncodeToString(s1[:]))
}

// isThumbprint accepts base64url, as RFC 7515 has it, and the standard alphabet,
// which MSAL writes and Entra takes [S accesstokens.go], each with and without
// padding.
func isThumbprint(given string, sum []byte) bool {
	given = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(given, "="))
	got, err := base64.RawURLEncoding.DecodeString(given)
	return err == nil && bytes.Equal(got, sum)
}
