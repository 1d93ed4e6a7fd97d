package sandbox

import (
	"fmt"
	"net/http"
	"strings"
)

// entra answers what lies below /{tenant}/: the documents of OpenID Connect
// Discovery and the token endpoint.
func (d *Double) entra(w http.ResponseWriter, r *http.Request, tenant string, rest []string) {
	x := d.begin(w, r, "", "")
	defer x.end()
	switch strings.ToLower(strings.Join(rest, "/")) {
	case "v2.0/.well-known/openid-configuration", ".well-known/openid-configuration":
		x.endpoint = "discovery"
		x.run(func() *answer { return d.openIDConfiguration(r, tenant) })
	case "discovery/v2.0/keys", "discovery/keys":
		x.endpoint = "discovery"
		x.run(func() *answer { return jsonAnswer(200, map[string]any{"keys": []any{d.tokens.jwk()}}) })
	case "discovery/instance":
		x.endpoint = "discovery"
		x.run(func() *answer { return instanceDiscovery(r, tenant) })
	case "oauth2/v2.0/token":
		x.endpoint = "token"
		x.run(func() *answer { return d.token(r, tenant) })
	default:
		x.endpoint = "other"
		x.run(func() *answer { return &answer{status: http.StatusNotFound} })
	}
}

// knowsTenant compares tenant ids, which are written in either case.
func (d *Double) knowsTenant(tenant string) bool { return strings.EqualFold(tenant, d.o.TenantID) }

func unknownTenant(code, tenant string) *answer {
	return entraError(http.StatusBadRequest, code, 90002,
		fmt.Sprintf("Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into "+
			"the correct cloud. Check with your subscription administrator, this may happen if there are no active "+
			"subscriptions for the tenant.", printable(tenant)))
}

// openIDConfiguration names this host in every URL, so that a client that came
// through a proxy goes on through it.
func (d *Double) openIDConfiguration(r *http.Request, tenant string) *answer {
	if !d.knowsTenant(tenant) {
		return unknownTenant("invalid_tenant", tenant)
	}
	base := "https://" + r.Host + "/" + d.o.TenantID
	return jsonAnswer(http.StatusOK, map[string]any{
		"token_endpoint": base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt",
			"client_secret_basic"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"issuer":                                base + "/v2.0",
		"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
		"cloud_instance_name":                   "sandbox",
		"msgraph_host":                          r.Host,
	})
}

// instanceDiscovery answers a client that was not told to leave it out.
func instanceDiscovery(r *http.Request, tenant string) *answer {
	return jsonAnswer(http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": "https://" + r.Host + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []any{map[string]any{
			"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host},
		}},
	})
}

// token is POST /{tenant}/oauth2/v2.0/token with the client credentials grant
// [D v2-oauth2-client-creds-grant-flow].
func (d *Double) token(r *http.Request, tenant string) *answer {
	if r.Method != http.MethodPost {
		return entraError(http.StatusBadRequest, "invalid_request", 900561,
			"The endpoint only accepts POST requests. Received a "+printable(r.Method)+" request.")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 256<<10)
	if err := r.ParseForm(); err != nil {
		return entraError(http.StatusBadRequest, "invalid_request", 900144,
			"The request body could not be read as a form.")
	}
	if !d.knowsTenant(tenant) {
		return unknownTenant("invalid_request", tenant)
	}
	resource, refused := grantedResource(r)
	if refused == nil {
		refused = d.authenticate(r, tenant)
	}
	if refused != nil {
		return refused
	}
	return d.newToken(resource)
}

// missing is Entra's answer for an absent parameter.
func missing(name string) *answer {
	return entraError(http.StatusBadRequest, "invalid_request", 900144,
		fmt.Sprintf("The request body must contain the following parameter: '%s'.", name))
}

// grantedResource checks grant_type and scope, and returns the resource asked
// for. MSAL adds the OpenID scopes to every request.
func grantedResource(r *http.Request) (string, *answer) {
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "client_credentials":
	case "":
		return "", missing("grant_type")
	default:
		return "", entraError(http.StatusBadRequest, "unsupported_grant_type", 70003,
			fmt.Sprintf("The app requested an unsupported grant type '%s'.", printable(grant)))
	}
	var resource string
	for scope := range strings.FieldsSeq(r.PostForm.Get("scope")) {
		switch scope {
		case "openid", "offline_access", "profile", "email":
			continue
		}
		name, ok := strings.CutSuffix(scope, "/.default")
		if !ok || resource != "" {
			return "", entraError(http.StatusBadRequest, "invalid_scope", 1002012,
				fmt.Sprintf("The provided value for scope %s is not valid. Client credential flows must have a scope "+
					"value with /.default suffixed to the resource identifier (application ID URI).", printable(scope)))
		}
		resource = name
	}
	if resource == "" {
		return "", missing("scope")
	}
	return resource, knownResource(resource)
}

// knownResource refuses resources that are no application of a real tenant. A
// few that are not Graph exist, so that a token for the wrong one can be had.
func knownResource(resource string) *answer {
	switch strings.TrimSuffix(resource, "/") {
	case "https://outlook.office365.com", "https://outlook.office.com", "https://outlook.office365.us",
		"https://partner.outlook.cn",
		"https://management.azure.com", "https://vault.azure.net":
		return nil
	}
	if isGraph(resource) {
		return nil
	}
	return entraError(http.StatusBadRequest, "invalid_resource", 500011,
		fmt.Sprintf("The resource principal named %s was not found in the tenant named sandbox. This can happen if "+
			"the application has not been installed by the administrator of the tenant or consented to by any user "+
			"in the tenant. You might have sent your authentication request to the wrong tenant.", printable(resource)))
}

// authenticate checks who asks: by signed assertion, by secret in the form, or
// by secret in the Authorization header.
func (d *Double) authenticate(r *http.Request, tenant string) *answer {
	client, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok && client == "" {
		client, secret = user, password
	}
	switch {
	case client == "":
		return missing("client_id")
	case !strings.EqualFold(client, d.o.ClientID):
		return entraError(http.StatusBadRequest, "unauthorized_client", 700016,
			fmt.Sprintf("Application with identifier '%s' was not found in the directory 'sandbox'. This can happen "+
				"if the application has not been installed by the administrator of the tenant or consented to by any "+
				"user in the tenant. You may have sent your authentication request to the wrong tenant.", printable(
				client)))
	case r.PostForm.Has("client_assertion"):
		return d.checkAssertion(r, tenant)
	case secret == "":
		return entraError(http.StatusUnauthorized, "invalid_client", 7000218,
			"The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case !d.tenant.secretMatches(secret):
		return entraError(http.StatusUnauthorized, "invalid_client", 7000215,
			fmt.Sprintf("Invalid client secret provided. Ensure the secret being sent in the request is the client "+
				"secret value, not the client secret ID, for a secret added to app '%s'.", d.o.ClientID))
	}
	return nil
}

func (d *Double) newToken(resource string) *answer {
	issuer := "https://sts.windows.net/" + d.o.TenantID + "/"
	token, err := d.tokens.issue(resource, issuer, d.tenant.currentRoles())
	if err != nil {
		return entraError(http.StatusServiceUnavailable, "temporarily_unavailable", 90033,
			"A transient error has occurred. Please try again.")
	}
	seconds := int(d.o.TokenLifetime.Seconds())
	return jsonAnswer(http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
	})
}

// printable keeps what a client sent fit for a one-line text.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, s)
}
