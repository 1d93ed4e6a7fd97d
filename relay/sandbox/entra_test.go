package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/golang-jwt/jwt/v5"

	"graphrelay/relay/sandbox"
)

func TestAzidentitySecret(t *testing.T) {
	d := start(t, sandbox.Options{})
	credential, err := azidentity.NewClientSecretCredential(d.TenantID(), d.ClientID(), d.Secret(),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: azure(d), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(context.Background(),
		policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
	if err != nil {
		t.Fatal(err)
	}
	c := signIn(t, d)
	c.token = token.Token
	if g := c.send(mailbox, simple); g.status != 202 || len(g.body) != 0 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if m := d.Messages(); len(m) != 1 || m[0].Recipients[0] != "a@example.com" {
		t.Fatalf("%+v", m)
	}
}

// The answers of the token endpoint that documents and reports name.
func TestTokenAnswers(t *testing.T) {
	d := start(t, sandbox.Options{})
	for _, row := range []struct {
		name, key, value string // the parameter that differs from a good request; "-" removes it
		status           int
		code             string
		number           int
	}{
		{name: "good", status: 200},
		{"wrong secret", "client_secret", "x", 401, "invalid_client", 7000215},
		{"no secret", "client_secret", "-", 401, "invalid_client", 7000218},
		{"unknown application", "client_id", "x", 400, "unauthorized_client", 700016},
		{"no application", "client_id", "-", 400, "invalid_request", 900144},
		{"no grant type", "grant_type", "-", 400, "invalid_request", 900144},
		{"other grant type", "grant_type", "password", 400, "unsupported_grant_type", 70003},
		{"no scope", "scope", "-", 400, "invalid_request", 900144},
		{"scope without .default", "scope", "https://graph.microsoft.com/Mail.Send", 400, "invalid_scope", 1002012},
		{"two resources", "scope", scope + " https://management.azure.com/.default", 400, "invalid_scope", 1002012},
		{"unknown resource", "scope", "https://127.0.0.1/.default", 400, "invalid_resource", 500011},
		{"MSAL's scopes", "scope", scope + " openid offline_access profile", 200, "", 0},
		{"malformed assertion", "client_assertion", "x", 401, "invalid_client", 50027},
	} {
		t.Run(row.name, func(t *testing.T) {
			form := url.Values{
				"grant_type": {"client_credentials"}, "client_id": {d.ClientID()},
				"client_secret": {d.Secret()}, "scope": {scope}, "client_assertion_type": {assertionType},
			}
			if form.Set(row.key, row.value); row.value == "-" {
				form.Del(row.key)
			}
			checkTokenAnswer(t, postToken(t, d, d.TenantID(), form), row.status, row.code, row.number)
		})
	}
	checkTokenAnswer(t, postToken(t, d, "contoso.com", url.Values{}), 400, "invalid_request", 90002)
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// checkTokenAnswer holds an error to the documented form.
func checkTokenAnswer(t *testing.T, g got, status int, code string, number int) {
	t.Helper()
	var body struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Error       string
		Codes       []int  `json:"error_codes"`
		Description string `json:"error_description"`
		Trace       string `json:"trace_id"`
		Correlation string `json:"correlation_id"`
	}
	if err := json.Unmarshal(g.body, &body); err != nil {
		t.Fatalf("%v: %s", err, g.body)
	}
	if g.status != status || body.Error != code {
		t.Fatalf("%d %s, want %d %s", g.status, g.body, status, code)
	}
	if status == 200 {
		if body.AccessToken == "" || body.TokenType != "Bearer" || body.ExpiresIn != 3599 {
			t.Errorf("%s", g.body)
		}
		return
	}
	if !slices.Equal(body.Codes, []int{number}) ||
		!strings.HasPrefix(body.Description, fmt.Sprintf("AADSTS%d: ", number)) || body.Trace == "" ||
		body.Correlation == "" {
		t.Errorf("%s", g.body)
	}
}

func TestAccessTokenClaims(t *testing.T) {
	for _, roles := range [][]string{nil, {"Mail.Send"}} {
		d := start(t, sandbox.Options{Roles: roles})
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(tokenFor(t, d), claims); err != nil {
			t.Fatal(err)
		}
		if claims["aud"] != "https://graph.microsoft.com" || claims["appid"] != d.ClientID() ||
			claims["tid"] != d.TenantID() || claims["exp"].(float64)-claims["iat"].(float64) != 3599 {
			t.Errorf("%v", claims)
		}
		if _, has := claims["roles"]; has != (roles != nil) {
			t.Errorf("roles: %v", claims["roles"])
		}
	}
}

// Tokens that Graph must refuse, and the way back.
func TestTokensThatGraphRefuses(t *testing.T) {
	now := time.Now()
	d := start(t, sandbox.Options{Now: func() time.Time { return now }})
	c := signIn(t, d)
	refused := func(name, text string) {
		t.Helper()
		g := c.send(mailbox, simple)
		if g.status != 401 || g.code() != "InvalidAuthenticationToken" || !strings.Contains(string(g.body), text) ||
			g.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v %s", name, g.status, g.header, g.body)
		}
		if claims := strings.Contains(g.header.Get("WWW-Authenticate"), `claims="`); claims != (name == "revoked") {
			t.Errorf("%s: %s", name, g.header.Get("WWW-Authenticate"))
		}
		c.token = tokenFor(t, d)
		if g := c.send(mailbox, simple); g.status != 202 {
			t.Errorf("%s: a new token gets %d %s", name, g.status, g.body)
		}
	}
	now = now.Add(3599 * time.Second)
	refused("expired", "expired")
	d.RevokeTokens()
	refused("revoked", "TokenIssuedBeforeRevocation")
	d.ForgetTokens()
	refused("forgotten", "Signature")
	g := postToken(t, d, d.TenantID(), url.Values{
		"grant_type": {"client_credentials"}, "client_id": {d.ClientID()}, "client_secret": {d.Secret()},
		"scope": {"https://management.azure.com/.default"},
	})
	c.token = accessToken(t, g)
	refused("other audience", "Invalid audience")
}

func TestSecretRotation(t *testing.T) {
	d := start(t, sandbox.Options{Secret: "old"})
	d.SetSecret("new")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.ClientID()}, "client_secret": {"old"},
		"scope": {scope}}
	checkTokenAnswer(t, postToken(t, d, d.TenantID(), form), 401, "invalid_client", 7000215)
	form.Set("client_secret", "new")
	checkTokenAnswer(t, postToken(t, d, d.TenantID(), form), 200, "", 0)
	d.SetSecret("") // an absent secret matches nothing
	form.Set("client_secret", "")
	checkTokenAnswer(t, postToken(t, d, d.TenantID(), form), 401, "invalid_client", 7000218)
}

// azidentity without DisableInstanceDiscovery would ask Microsoft first; with
// it, it reads the tenant's document, which must name this host.
func TestDiscovery(t *testing.T) {
	d := start(t, sandbox.Options{})
	for path, status := range map[string]int{
		"/" + d.TenantID() + "/v2.0/.well-known/openid-configuration": 200,
		"/" + d.TenantID() + "/discovery/v2.0/keys":                   200,
		"/common/discovery/instance":                                  200,
		"/contoso.com/v2.0/.well-known/openid-configuration":          400,
	} {
		r, err := d.HTTPClient().Get(d.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		g := read(t, r)
		if g.status != status || !json.Valid(g.body) {
			t.Errorf("%s: %d %s", path, g.status, g.body)
		}
		if strings.Contains(path, "openid") && status == 200 &&
			!strings.Contains(string(g.body), d.URL()+"/"+d.TenantID()+"/oauth2/v2.0/token") {
			t.Errorf("%s", g.body)
		}
	}
}
