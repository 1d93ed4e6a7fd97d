package graph

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// maxCredentialFile bounds what is read; a chain with a key has a few KiB.
const maxCredentialFile = 256 << 10

// credential is what the identity logs in with: a secret, or a key with its
// certificate first in chain.
type credential struct {
	secret string
	key    *rsa.PrivateKey
	chain  []*x509.Certificate
}

// CredentialInfo describes the credential in use, without the secret.
type CredentialInfo struct {
	Kind       string    // "client secret" or "certificate"
	Subject    string    // of the certificate
	Thumbprint string    // of the certificate: SHA-1 in upper-case hex, as the portal shows it
	NotAfter   time.Time // of the certificate; zero for a secret, for Entra does not tell
}

// loadCredential reads and checks the file that cfg names.
func loadCredential(cfg Config) (credential, error) {
	if cfg.SecretFile != "" {
		data, err := readCredentialFile("client secret", cfg.SecretFile)
		if err != nil {
			return credential{}, err
		}
		secret, err := parseSecret(data)
		if err != nil {
			return credential{}, fmt.Errorf("client secret file %s %w", cfg.SecretFile, err)
		}
		return credential{secret: secret}, nil
	}
	data, err := readCredentialFile("certificate", cfg.CertificateFile)
	if err != nil {
		return credential{}, err
	}
	key, chain, err := parseCertificate(data)
	if err != nil {
		return credential{}, fmt.Errorf("certificate file %s %w", cfg.CertificateFile, err)
	}
	return credential{key: key, chain: chain}, nil
}

func readCredentialFile(what, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the %s file: %w; correct the path, or let the service's user read it", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s file: %w; it must be a file that the service's user may read", what, err)
	}
	if len(data) > maxCredentialFile {
		return nil, fmt.Errorf("%s file %s has more than %d KiB: it is some other file; correct the path", what, path, maxCredentialFile>>10)
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

// looksLikeSecretID tells a GUID, which is what people copy by mistake.
func looksLikeSecretID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

func (c credential) info() CredentialInfo {
	if c.key == nil {
		return CredentialInfo{Kind: "client secret"}
	}
	leaf := c.chain[0]
	return CredentialInfo{
		Kind:       "certificate",
		Subject:    leaf.Subject.String(),
		Thumbprint: fmt.Sprintf("%X", sha1.Sum(leaf.Raw)), // a name, not a signature
		NotAfter:   leaf.NotAfter,
	}
}

// warning says what will not work, without stopping a start: mail is accepted
// and queued while the credential is being repaired.
func (c credential) warning(now time.Time) string {
	switch {
	case c.key == nil && looksLikeSecretID(c.secret):
		return "the client secret looks like a secret ID; Entra wants the secret's Value"
	case c.key == nil:
		return ""
	case now.After(c.chain[0].NotAfter):
		return "the certificate has expired on " + c.chain[0].NotAfter.UTC().Format(time.DateOnly) + "; make a new one, upload it to the app registration and put it in place"
	case now.Before(c.chain[0].NotBefore):
		return "the certificate is not valid before " + c.chain[0].NotBefore.UTC().Format(time.RFC3339) + "; check this machine's clock"
	}
	return ""
}

// azure makes a new azidentity credential. It is used for one login only:
// azidentity would hand out its cached token again after a 401, and holds a
// lock that ignores contexts.
func (c credential) azure(cfg Config, opts policy.ClientOptions, private bool) (azcore.TokenCredential, error) {
	if c.key == nil {
		return azidentity.NewClientSecretCredential(cfg.TenantID, cfg.ClientID, c.secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions:            opts,
			DisableInstanceDiscovery: private,
		})
	}
	return azidentity.NewClientCertificateCredential(cfg.TenantID, cfg.ClientID, c.chain, c.key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions:            opts,
		DisableInstanceDiscovery: private,
		SendCertificateChain:     len(c.chain) > 1, // a chain is in the file where subject and issuer are what Entra trusts
	})
}

// redact removes the secret from s, should a service echo it.
func (c credential) redact(s string) string {
	if len(c.secret) < 8 {
		return s
	}
	return strings.ReplaceAll(s, c.secret, "[secret]")
}
