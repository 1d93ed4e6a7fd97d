package entra

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// maxCredentialFile bounds what is read; a chain with a key has a few KiB.
const maxCredentialFile = 256 << 10

// Kind is what an identity logs in with.
type Kind = string

// The kinds of credentials.
const (
	KindSecret      Kind = "client secret"
	KindCertificate Kind = "certificate"
	KindManaged     Kind = "managed identity"
	KindWorkload    Kind = "workload identity"
)

// credential is what the identity logs in with: a secret, a key with its certificate
// first in chain, a federated token, or for a managed identity nothing at all.
type credential struct {
	kind      Kind
	secret    string
	key       *rsa.PrivateKey
	chain     []*x509.Certificate
	assertion string    // the federated token
	expires   time.Time // of secret, certificate or assertion; zero where unknown
}

// CredentialInfo describes the credential in use, without the secret.
type CredentialInfo struct {
	Kind       Kind
	Subject    string    // of the certificate
	Thumbprint string    // of the certificate: SHA-1 in upper-case hex, as the portal shows it
	NotAfter   time.Time // of the certificate, or client_secret_expires; zero where nobody knows or it renews itself
	Sent       bool      // a message was sent with a token that this certificate got
	Unread     error     // why the files cannot be read now, while an earlier credential is in use; nil if they can
}

// loadCredential reads and checks the files that cfg names.
func loadCredential(id Identity) (credential, error) {
	switch {
	case id.ManagedIdentity != nil:
		return credential{kind: KindManaged}, nil
	case id.WorkloadIdentity:
		return loadAssertion(federatedTokenFile())
	case id.SecretFile != "":
		return loadSecret(id)
	}
	return loadCertificate(id)
}

func loadSecret(id Identity) (credential, error) {
	data, err := ReadFile("client secret", id.SecretFile)
	if err != nil {
		return credential{}, err
	}
	secret, err := parseSecret(data)
	if err != nil {
		return credential{}, fmt.Errorf("client secret file %s %w", id.SecretFile, err)
	}
	return credential{kind: KindSecret, secret: secret, expires: id.SecretExpires}, nil
}

func loadCertificate(id Identity) (credential, error) {
	data, err := ReadFile("certificate", id.CertificateFile)
	if err != nil {
		return credential{}, err
	}
	password, err := loadPassword(id.CertificatePasswordFile)
	if err != nil {
		return credential{}, err
	}
	key, chain, err := parseCertificate(data, password)
	if err != nil {
		return credential{}, fmt.Errorf("certificate file %s %w", id.CertificateFile, err)
	}
	return credential{kind: KindCertificate, key: key, chain: chain, expires: chain[0].NotAfter}, nil
}

// loadPassword takes the first line as it is, spaces included.
func loadPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := ReadFile("certificate password", path)
	if err != nil {
		return "", err
	}
	line, rest, _ := strings.Cut(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))), "\n")
	if strings.TrimSpace(rest) != "" {
		return "", fmt.Errorf("certificate password file %s has more than one line: "+
			"put the password alone into it", path)
	}
	return strings.TrimSuffix(line, "\r"), nil
}

// ReadFile reads a small file with a secret. Errors end with what to do, and
// show nothing of the content.
func ReadFile(what, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the %s file: %w; "+
			"correct the path, or let the service's user read it", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s file: %w; "+
			"it must be a file that the service's user may read", what, err)
	}
	if len(data) > maxCredentialFile {
		return nil, fmt.Errorf("%s file %s has more than %d KiB, so it is another file: correct the path",
			what, path, maxCredentialFile>>10)
	}
	return data, nil
}

// parseSecret takes the secret with or without a line end and byte order mark.
func parseSecret(data []byte) (string, error) {
	const remedy = "put the Value of the client secret (not its Secret ID) alone on one line"
	s := strings.TrimSpace(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	switch {
	case s == "":
		return "", errors.New("is empty: " + remedy)
	case strings.Contains(s, "-----BEGIN "):
		return "", errors.New("holds PEM, not a secret: name it as the certificate file, or " + remedy)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("holds more than one word, or characters that no secret has: " + remedy)
	}
	return s, nil
}

// looksLikeSecretID recognises a GUID, which people copy by mistake.
func looksLikeSecretID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

func (c credential) info() CredentialInfo {
	i := CredentialInfo{Kind: c.kind}
	switch c.kind {
	case KindSecret:
		i.NotAfter = c.expires
	case KindCertificate:
		leaf := c.chain[0]
		i.Subject, i.NotAfter = leaf.Subject.String(), leaf.NotAfter
		i.Thumbprint = fmt.Sprintf("%X", sha1.Sum(leaf.Raw)) // a name, not a signature
	}
	return i
}

// same reports whether a file that was written again holds what it held.
func (c credential) same(d credential) bool {
	return c.kind == d.kind && c.secret == d.secret && c.assertion == d.assertion &&
		slices.EqualFunc(c.chain, d.chain, (*x509.Certificate).Equal) &&
		(c.key == d.key || c.key != nil && d.key != nil && c.key.Equal(d.key))
}

// warning says what will not work. It does not prevent a start: mail is accepted
// and queued until the credential is repaired.
func (c credential) warning(now time.Time) string {
	utc := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case c.kind == KindSecret && looksLikeSecretID(c.secret):
		return "the client secret looks like a secret ID; put the secret's Value in place"
	case c.kind == KindCertificate && now.Before(c.chain[0].NotBefore):
		return "the certificate is not valid before " + utc(c.chain[0].NotBefore) + "; check this machine's clock"
	case c.kind == KindWorkload && !c.expires.IsZero() && now.After(c.expires):
		return "the federated token expired on " + utc(c.expires) +
			"; check what renews its file (in Kubernetes: the projected volume of the pod)"
	}
	return ""
}

// azure makes a new azidentity credential. It is used for one login only:
// azidentity would hand out its cached token again after a 401, and holds a
// lock that ignores contexts.
func (c credential) azure(id Identity, opts policy.ClientOptions, private bool) (azcore.TokenCredential, error) {
	switch c.kind {
	case KindSecret:
		return azidentity.NewClientSecretCredential(id.TenantID, id.ClientID, c.secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: opts, DisableInstanceDiscovery: private})
	case KindWorkload:
		// Not azidentity's own reader of the file: this one has checked it, and
		// must know the token to keep it out of the log.
		assertion := func(context.Context) (string, error) { return c.assertion, nil }
		return azidentity.NewClientAssertionCredential(id.TenantID, id.ClientID, assertion,
			&azidentity.ClientAssertionCredentialOptions{ClientOptions: opts, DisableInstanceDiscovery: private})
	}
	return azidentity.NewClientCertificateCredential(id.TenantID, id.ClientID, c.chain, c.key,
		&azidentity.ClientCertificateCredentialOptions{
			ClientOptions:            opts,
			DisableInstanceDiscovery: private,
			// A chain is in the file where subject and issuer are what Entra trusts.
			SendCertificateChain: len(c.chain) > 1,
		})
}

// federatedTokenFile is where Kubernetes' webhook for workload identities, and
// others after its model, put the token of the pod.
func federatedTokenFile() string { return os.Getenv("AZURE_FEDERATED_TOKEN_FILE") }

// loadAssertion reads the federated token. Whoever wrote it renews it: it is
// read again for each login.
func loadAssertion(path string) (credential, error) {
	if path == "" {
		return credential{}, errors.New("workload identity needs the variable AZURE_FEDERATED_TOKEN_FILE: " +
			"in Kubernetes label the pod azure.workload.identity/use: \"true\"; " +
			"elsewhere set it to the file of the token")
	}
	data, err := ReadFile("federated token", path)
	if err != nil {
		return credential{}, err
	}
	token := strings.TrimSpace(string(data))
	expires, ok := expiryOfJWT(token)
	if !ok {
		return credential{}, fmt.Errorf("federated token file %s holds no token (a JWT): "+
			"check what writes it, and correct AZURE_FEDERATED_TOKEN_FILE", path)
	}
	return credential{kind: KindWorkload, assertion: token, expires: expires}, nil
}

// expiryOfJWT reads exp without verifying the token, which is Entra's work;
// zero where there is none.
func expiryOfJWT(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsAny(token, " \t\r\n") {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	var claims struct{ Exp float64 }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return time.Time{}, false
	}
	if claims.Exp <= 0 || claims.Exp > 1<<40 {
		return time.Time{}, true
	}
	return time.Unix(int64(claims.Exp), 0), true
}
