package graph

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Config describes one identity. The zero value of an optional field stands
// for its default.
type Config struct {
	Name     string // for logs
	TenantID string // GUID or a verified domain of the tenant
	ClientID string // GUID of the app registration, or of the managed identity

	// Exactly one of these four.
	SecretFile       string           // the secret's value, alone in the file
	CertificateFile  string           // PEM (certificate, chain and RSA key, in any order) or PFX
	ManagedIdentity  *ManagedIdentity // of the Azure machine that this runs on
	WorkloadIdentity bool             // a federated token, from the file that AZURE_FEDERATED_TOKEN_FILE names

	CertificatePasswordFile string    // for an encrypted key or PFX
	SecretExpires           time.Time // when the secret expires, for the warning; Entra does not tell

	// Cloud is public (the default), usgov, usgov-dod or china. Login and Graph
	// replace it, both or neither, and must be https.
	Cloud        string
	Login, Graph *url.URL

	CAFile string // PEM roots, added to those of the system

	// Proxy is the HTTP proxy for both endpoints, without a password; ProxyFile
	// holds its URL where there is one. Without either HTTPS_PROXY and NO_PROXY
	// are followed.
	Proxy     *url.URL
	ProxyFile string

	MaxConcurrent int              // expected concurrent sends, sizes the pool of connections; 0 is 64
	Now           func() time.Time // nil is time.Now
	Log           *slog.Logger     // nil is silence
	UserAgent     string           // product and version; empty is "graphrelay"

	// Dial opens the connections to both endpoints and to the proxy, in place of
	// TCP; TLS is spoken over them all the same. nil is TCP. It is what lets a
	// whole relay run without a network, under a clock that is not real.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// OnCredentialChange is called by Run after a changed credential file was
	// taken over: what Graph or Entra refused may pass now. It must not block.
	OnCredentialChange func()
}

// ManagedIdentity says which identity of the machine logs in.
type ManagedIdentity struct {
	ClientID string // of a user-assigned identity; empty is the system-assigned one
}

// withDefaults fills in the optional fields and checks the rest. It reads no file.
func (cfg Config) withDefaults() (Config, error) {
	if err := cfg.checkIdentity(); err != nil {
		return cfg, err
	}
	if err := cfg.setEndpoints(); err != nil {
		return cfg, err
	}
	if err := cfg.checkProxy(); err != nil {
		return cfg, err
	}
	if cfg.MaxConcurrent <= 0 {
		cfg.MaxConcurrent = 64
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "graphrelay"
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	if cfg.OnCredentialChange == nil {
		cfg.OnCredentialChange = func() {}
	}
	return cfg, nil
}

func (cfg Config) checkIdentity() error {
	if cfg.TenantID == "" || strings.Trim(cfg.TenantID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" {
		return fmt.Errorf("tenant ID %q is not one: copy \"Directory (tenant) ID\" from the overview page of the app registration", cfg.TenantID)
	}
	if slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(cfg.TenantID)) {
		return fmt.Errorf("tenant ID %q names no single tenant, which an app logging in by itself needs: copy \"Directory (tenant) ID\" from the overview page of the app registration", cfg.TenantID)
	}
	if cfg.ClientID == "" || strings.ContainsAny(cfg.ClientID, " \t\r\n") {
		return fmt.Errorf("client ID %q is not one: copy \"Application (client) ID\" from the overview page of the app registration", cfg.ClientID)
	}
	if cfg.credentials() != 1 {
		return errors.New("an identity needs exactly one credential: set a certificate file, a client secret file, a managed identity or a workload identity")
	}
	if cfg.CertificatePasswordFile != "" && cfg.CertificateFile == "" {
		return errors.New("a certificate password file is set without a certificate file: set both, or no password file")
	}
	return nil
}

func (cfg Config) credentials() int {
	n := 0
	for _, is := range []bool{cfg.SecretFile != "", cfg.CertificateFile != "", cfg.ManagedIdentity != nil, cfg.WorkloadIdentity} {
		if is {
			n++
		}
	}
	return n
}

// roots returns the system's roots with those of file added; nil for no file
// leaves the choice to crypto/tls.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the CA file: %w; correct the path or its permissions", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate that can be read: it must be PEM (-----BEGIN CERTIFICATE-----)", file)
	}
	return pool, nil
}
