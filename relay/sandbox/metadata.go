package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// MetadataHandler is a double of the metadata service of a machine in Azure:
// the instance metadata service at /metadata/identity/oauth2/token [D
// how-to-use-vm-token], and that of App Service at any other path [D
// overview-managed-identity]. Both issue tokens that
// the double's Graph takes.
func (d *Double) MetadataHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := d.begin(w, r, "metadata", "")
		defer x.end()
		x.run(func() *answer { return d.machineToken(r) })
	})
}

// StartMetadata serves the metadata service over HTTP at addr, with the rules
// of Start.
func (d *Double) StartMetadata(addr string) error { return d.metadata.start(addr) }

// MetadataURL is where the metadata service answers, as IDENTITY_ENDPOINT has
// it; empty before StartMetadata.
func (d *Double) MetadataURL() string {
	if base := d.metadata.url("http://"); base != "" {
		return base + "/msi/token"
	}
	return ""
}

// MetadataSecret is what IDENTITY_HEADER must be under App Service.
func (d *Double) MetadataSecret() string { return d.metadataSecret }

// machineToken answers one request. The texts are those the services show [K];
// status and error are documented.
func (d *Double) machineToken(r *http.Request) *answer {
	q := r.URL.Query()
	if problem := d.foreignCaller(r); problem != "" {
		return metadataError(http.StatusBadRequest, "invalid_request", problem)
	}
	resource := q.Get("resource")
	switch {
	case r.Method != http.MethodGet:
		return &answer{status: http.StatusMethodNotAllowed}
	case q.Get("api-version") == "":
		return metadataError(http.StatusBadRequest, "invalid_request",
			"Required query variable 'api-version' is missing")
	case resource == "":
		return metadataError(http.StatusBadRequest, "invalid_request", "Required query variable 'resource' is missing")
	case !d.assigned(q.Get("client_id")):
		return metadataError(http.StatusBadRequest, "invalid_request", "Identity not found")
	case knownResource(resource) != nil:
		return metadataError(http.StatusBadRequest,
			"invalid_resource", fmt.Sprintf("AADSTS500011: The resource principal named %s was not found in the "+
				"tenant named sandbox.", printable(resource)))
	}
	token, err := d.tokens.issue(resource, "https://sts.windows.net/"+d.o.TenantID+"/", d.tenant.currentRoles())
	if err != nil {
		return metadataError(http.StatusInternalServerError, "unknown", err.Error())
	}
	now, seconds := d.o.Now(), int64(d.o.TokenLifetime.Seconds())
	return jsonAnswer(http.StatusOK, map[string]string{ // numbers are strings [D how-to-use-vm-token]
		"access_token": token, "client_id": d.o.ClientID, "resource": resource, "token_type": "Bearer",
		"expires_in": strconv.FormatInt(seconds, 10), "expires_on": strconv.FormatInt(now.Unix()+seconds,
			10), "not_before": strconv.FormatInt(now.Unix(), 10),
	})
}

// foreignCaller refuses what did not come straight from a program of the
// machine: the headers that guard against forged requests are missing, or a
// proxy has passed it on [D how-to-use-vm-token].
func (d *Double) foreignCaller(r *http.Request) string {
	imds := strings.HasPrefix(r.URL.Path, "/metadata/")
	switch {
	case r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Via") != "":
		return "Request was forwarded by a proxy"
	case imds && !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		return "Required metadata header not specified"
	case !imds && r.Header.Get("X-IDENTITY-HEADER") != d.metadataSecret:
		return "The X-IDENTITY-HEADER is missing or wrong"
	}
	return ""
}

// assigned tells whether the machine has an identity; "" is its own.
func (d *Double) assigned(client string) bool {
	if d.o.MachineIdentities == nil {
		return client == "" || d.names(client)
	}
	return slices.ContainsFunc(d.o.MachineIdentities, func(id string) bool { return strings.EqualFold(id, client) })
}

func metadataError(status int, code, text string) *answer {
	return jsonAnswer(status, map[string]string{"error": code, "error_description": text})
}
