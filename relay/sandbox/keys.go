package sandbox

import (
	"crypto/rsa"
	"crypto/sha1" // customKeyIdentifier is a SHA-1 thumbprint by definition
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// DefaultObjectID is the object ID of the application, which differs from its client ID.
const DefaultObjectID = "33333333-3333-3333-3333-333333333333"

// Key is a certificate credential of the application.
type Key struct {
	ID         string    `json:"key_id"`
	Thumbprint string    `json:"thumbprint"`
	End        time.Time `json:"end"`

	cert  *x509.Certificate
	added time.Time // by addKey; zero: long ago
}

// KeyRules say how the tenant treats keys that the application adds.
type KeyRules struct {
	// Propagation is how long a new key takes to reach every login server: there are
	// three, which take turns, and they know it at once, after half the time and after
	// the whole of it [K].
	Propagation time.Duration
	MaxLifetime time.Duration // by an app management policy; 0: none
	Blocked     bool          // by an app management policy: no new certificates
	Readable    bool          // the application may read its own registration, which takes a permission
}

// SetKeyRules changes how new keys are treated.
func (d *Double) SetKeyRules(r KeyRules) { d.tenant.change(func(t *tenant) { t.keyRules = r }) }

// Keys lists the certificate credentials, oldest first.
func (d *Double) Keys() []Key {
	d.tenant.mu.RLock()
	defer d.tenant.mu.RUnlock()
	return slices.Clone(d.tenant.keys)
}

// RemoveKey removes a certificate credential, as an administrator would in the portal.
func (d *Double) RemoveKey(thumbprint string) {
	d.tenant.change(func(t *tenant) {
		t.keys = slices.DeleteFunc(t.keys, func(k Key) bool { return k.Thumbprint == thumbprint })
	})
}

func newKey(cert *x509.Certificate, added time.Time) Key {
	return Key{ID: newID(), Thumbprint: fmt.Sprintf("%X", sha1.Sum(cert.Raw)), End: cert.NotAfter, cert: cert,
		added: added}
}

func newKeys(certs []*x509.Certificate) (keys []Key) {
	for _, c := range certs {
		keys = append(keys, newKey(c, time.Time{}))
	}
	return keys
}

// keysAtLogin are those that the login server whose turn it is knows.
func (t *tenant) keysAtLogin(now time.Time) []Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logins++
	late := t.keyRules.Propagation * time.Duration(t.logins%3) / 2
	return slices.DeleteFunc(slices.Clone(t.keys), func(k Key) bool { return now.Before(k.added.Add(late)) })
}

// application answers what the application may do with its own registration
// [D application-addkey; D application-removekey]; anything else is no resource here.
func (d *Double) application(w http.ResponseWriter, r *http.Request, path []string) bool {
	id, own := d.applicationID(path)
	actions := map[string]func(*http.Request, string) *answer{"addkey": d.addKey, "removekey": d.removeKey}
	names := map[string]string{"addkey": "addKey", "removekey": "removeKey", "": "application"}
	last := ""
	if len(path) > 0 {
		last = strings.TrimPrefix(strings.ToLower(path[len(path)-1]), "microsoft.graph.")
	}
	if actions[last] == nil {
		last = ""
	}
	if id == "" || last == "" && r.Method != http.MethodGet {
		return false
	}
	x := d.begin(w, r, names[last], "")
	defer x.end()
	x.run(func() *answer {
		if refused := d.tokens.check(r.Header.Get("Authorization")); refused != nil {
			return refused
		}
		if !own {
			return graphError(http.StatusNotFound, "Request_ResourceNotFound",
				fmt.Sprintf("Resource '%s' does not exist or one of its queried reference-property objects are not "+
					"present.", printable(id)))
		}
		if last == "" {
			return d.readApplication()
		}
		if refused := methodAllowed(r.Method); refused != nil {
			return refused
		}
		return actions[last](r, d.o.ObjectID)
	})
	return true
}

// applicationID reads applications/{id} and applications(appId='{appId}').
func (d *Double) applicationID(path []string) (id string, own bool) {
	if len(path) >= 2 && strings.EqualFold(path[0], "applications") {
		return path[1], strings.EqualFold(path[1], d.o.ObjectID)
	}
	if len(path) > 0 {
		head, ok := strings.CutSuffix(path[0], "')")
		if kind, id, cut := strings.Cut(head, "(appId='"); ok && cut && strings.EqualFold(kind, "applications") {
			return id, strings.EqualFold(id, d.o.ClientID)
		}
	}
	return "", false
}

// readApplication takes a permission that the relay does not ask for; the code is
// [K]. The key itself is not in a list [D resources/keycredential].
func (d *Double) readApplication() *answer {
	d.tenant.mu.RLock()
	defer d.tenant.mu.RUnlock()
	if !d.tenant.keyRules.Readable {
		return graphError(http.StatusForbidden, "Authorization_RequestDenied",
			"Insufficient privileges to complete the operation.")
	}
	list := []any{}
	for _, k := range d.tenant.keys {
		list = append(list, k.credential())
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"id": d.o.ObjectID, "appId": d.o.ClientID, "keyCredentials": list,
	})
}

// credential is the key as Graph shows it; customKeyIdentifier is the thumbprint in
// hex [D applications-how-to-add-certificate].
func (k Key) credential() any {
	return map[string]any{
		"keyId": k.ID, "customKeyIdentifier": k.Thumbprint, "type": "AsymmetricX509Cert", "usage": "Verify",
		"startDateTime": k.cert.NotBefore.UTC().Format(time.RFC3339), "endDateTime": k.End.UTC().Format(time.RFC3339),
		"displayName": k.cert.Subject.String(), "key": nil,
	}
}

// keyChange is the body of both actions.
type keyChange struct {
	KeyCredential struct {
		Type  string `json:"type"`
		Usage string `json:"usage"`
		Key   string `json:"key"`
	} `json:"keyCredential"`
	KeyID string `json:"keyId"`
	Proof string `json:"proof"`
}

// readKeyChange reads the body and checks the proof.
func (d *Double) readKeyChange(r *http.Request, objectID string) (c keyChange, refused *answer) {
	data, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || json.Unmarshal(data, &c) != nil {
		return c, graphError(http.StatusBadRequest, "Request_BadRequest", "Unable to read JSON request payload.")
	}
	if !d.proves(c.Proof, objectID) {
		return c, graphError(http.StatusUnauthorized, "Authentication_MissingOrMalformed", // [I microsoft-graph-docs]
			"Access Token missing or malformed.")
	}
	return c, nil
}

// proves checks the proof of possession: signed by one of the keys that have not
// expired, for the directory, by the application's object ID, for ten minutes at
// most [D application-rollkey-prooftoken].
func (d *Double) proves(proof, objectID string) bool {
	claims, signer := jwt.RegisteredClaims{}, d.signerAmong(d.Keys())
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "PS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(proof, &claims, signer)
	return err == nil && strings.EqualFold(claims.Issuer, objectID) && d.inTime(claims) &&
		slices.Contains(claims.Audience, "00000002-0000-0000-c000-000000000000") && claims.NotBefore != nil &&
		claims.ExpiresAt.Sub(claims.NotBefore.Time) <= 10*time.Minute
}

func (d *Double) addKey(r *http.Request, objectID string) *answer {
	c, refused := d.readKeyChange(r, objectID)
	if refused != nil {
		return refused
	}
	der, err := base64.StdEncoding.DecodeString(c.KeyCredential.Key)
	cert, parseErr := x509.ParseCertificate(der)
	if err != nil || parseErr != nil || c.KeyCredential.Type != "AsymmetricX509Cert" ||
		c.KeyCredential.Usage != "Verify" {
		return graphError(http.StatusBadRequest, "Request_BadRequest", // [K]
			"Invalid value specified for property 'keyCredentials' of resource 'Application'.")
	}
	now := d.o.Now()
	d.tenant.mu.Lock()
	defer d.tenant.mu.Unlock()
	if refused := d.tenant.keyRules.refusal(cert, now); refused != nil {
		return refused
	}
	k := newKey(cert, now)
	if slices.ContainsFunc(d.tenant.keys, func(old Key) bool { return old.Thumbprint == k.Thumbprint }) {
		return graphError(http.StatusBadRequest, "Request_BadRequest", // [K]
			"A key credential with the same thumbprint is already present.")
	}
	d.tenant.keys = append(d.tenant.keys, k)
	return jsonAnswer(http.StatusOK, k.credential())
}

// refusal is what a policy says about a new key [I azure-cli]; an expired key
// is none to add [I azure-powershell].
func (r KeyRules) refusal(cert *x509.Certificate, now time.Time) *answer {
	switch _, isRSA := cert.PublicKey.(*rsa.PublicKey); {
	case r.Blocked:
		return graphError(http.StatusBadRequest, "CredentialTypeNotAllowedAsPerAppPolicy",
			"Credential type not allowed as per assigned policy '538f1913-366a-440a-95a0-e195cb55b282'.")
	case r.MaxLifetime > 0 && cert.NotAfter.Sub(now) > r.MaxLifetime:
		return graphError(http.StatusBadRequest, "CredentialInvalidLifetimeAsPerAppPolicy",
			"Credential lifetime exceeds the max value allowed as per assigned policy "+
				"'538f1913-366a-440a-95a0-e195cb55b282'.")
	case now.After(cert.NotAfter):
		return graphError(http.StatusBadRequest, "KeyCredentialsInvalidEndDate", "Key credential end date is invalid.")
	case !isRSA:
		return graphError(http.StatusBadRequest, "Request_BadRequest", "The key is not an RSA key.") // [K]
	}
	return nil
}

func (d *Double) removeKey(r *http.Request, objectID string) *answer {
	c, refused := d.readKeyChange(r, objectID)
	if refused != nil {
		return refused
	}
	d.tenant.mu.Lock()
	defer d.tenant.mu.Unlock()
	i := slices.IndexFunc(d.tenant.keys, func(k Key) bool { return strings.EqualFold(k.ID, c.KeyID) })
	if i < 0 {
		return graphError(http.StatusBadRequest, "Request_BadRequest", "No credentials found to be removed.") // [K]
	}
	d.tenant.keys = slices.Delete(d.tenant.keys, i, i+1)
	return &answer{status: http.StatusNoContent}
}

// changeKeys sets the rules for keys: POST /api/keys.
func (d *Double) changeKeys(v struct {
	Propagation duration `json:"propagation"`
	MaxLifetime duration `json:"max_lifetime"`
	Blocked     bool     `json:"blocked"`
	Readable    bool     `json:"readable"`
}) error {
	d.SetKeyRules(KeyRules{time.Duration(v.Propagation), time.Duration(v.MaxLifetime), v.Blocked, v.Readable})
	return nil
}
