package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The federated credential that the imitated application trusts, as a cluster
// of Kubernetes has it [D workload-identity-federation].
const (
	federatedIssuer   = "https://oidc.sandbox.invalid/cluster/"
	federatedSubject  = "system:serviceaccount:mail:graphrelay"
	federatedAudience = "api://AzureADTokenExchange"
)

// FederatedToken is a token of the imitated cluster, as the kubelet writes it
// into the file that AZURE_FEDERATED_TOKEN_FILE names. With it a client logs in
// in place of a secret.
func (d *Double) FederatedToken(lifetime time.Duration) (string, error) {
	return d.federatedToken(federatedIssuer, federatedSubject, lifetime)
}

func (d *Double) federatedToken(issuer, subject string, lifetime time.Duration) (string, error) {
	now := d.o.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer: issuer, Subject: subject, Audience: jwt.ClaimStrings{federatedAudience},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(
			lifetime)),
	})
	token.Header["kid"] = d.tokens.keyID
	return token.SignedString(d.tokens.key) // the cluster's key is the tenant's here; nobody looks
}

// federated tells an assertion of an identity provider, whose name is a URL.
func (d *Double) federated(assertion string) bool {
	var claims jwt.RegisteredClaims
	_, _, err := jwt.NewParser().ParseUnverified(assertion, &claims)
	return err == nil && strings.HasPrefix(claims.Issuer, "https://")
}

// checkFederated holds a federated token to the application's credential: the
// issuer's signature, then issuer, subject and audience, each octet for octet.
// The numbers are [K].
func (d *Double) checkFederated(r *http.Request) *answer {
	var claims jwt.RegisteredClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(r.PostForm.Get("client_assertion"), &claims,
		func(*jwt.Token) (any, error) { return &d.tokens.key.PublicKey, nil })
	switch {
	case claims.Issuer != federatedIssuer:
		return invalidClient(700211,
			fmt.Sprintf("No matching federated identity record found for presented assertion issuer '%s'.",
				printable(claims.Issuer)))
	case err != nil:
		return invalidClient(700027,
			fmt.Sprintf("Client assertion failed signature validation. [Reason - %s.]", reason(err)))
	case claims.Subject != federatedSubject:
		return invalidClient(700213,
			fmt.Sprintf("No matching federated identity record found for presented assertion subject '%s'.",
				printable(claims.Subject)))
	case !slices.Contains(claims.Audience, federatedAudience):
		return invalidClient(700212, "No matching federated identity record found for presented assertion audience.")
	case !d.inTime(claims):
		return invalidClient(700024,
			fmt.Sprintf("Client assertion is not within its valid time range. Current time: %s.",
				d.o.Now().UTC().Format(time.RFC3339)))
	}
	return nil
}
