package entra

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Identity is an app registration and what it logs in with.
type Identity struct {
	TenantID string // GUID or a verified domain of the tenant
	ClientID string // GUID of the app registration, or of the managed identity

	// Exactly one of these four.
	SecretFile       string           // the secret's value, alone in the file
	CertificateFile  string           // PEM (certificate, chain and RSA key, in any order) or PFX
	ManagedIdentity  *ManagedIdentity // of the Azure machine that this runs on
	WorkloadIdentity bool             // a federated token, from the file that AZURE_FEDERATED_TOKEN_FILE names

	CertificatePasswordFile string    // for an encrypted key or PFX
	SecretExpires           time.Time // when the secret expires, for the warning; Entra does not say
}

// ManagedIdentity says which identity of the machine logs in.
type ManagedIdentity struct {
	ClientID string // of a user-assigned identity; empty is the system-assigned one
}

// Check checks what can be checked without reading a file. Errors end with what to do.
func (i Identity) Check() error {
	const copyTenant = "copy \"Directory (tenant) ID\" from the overview page of the app registration"
	if i.TenantID == "" || strings.Trim(strings.ToLower(i.TenantID), "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return fmt.Errorf("tenant ID %q is not one: %s", i.TenantID, copyTenant)
	}
	if slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(i.TenantID)) {
		return fmt.Errorf("tenant ID %q does not name one tenant, which an app that logs in by itself needs: %s",
			i.TenantID, copyTenant)
	}
	if i.ClientID == "" || strings.ContainsAny(i.ClientID, " \t\r\n") {
		return fmt.Errorf("client ID %q is not one: copy \"Application (client) ID\" "+
			"from the overview page of the app registration", i.ClientID)
	}
	if i.credentials() != 1 {
		return errors.New("an identity needs exactly one credential: " +
			"set a certificate file, a client secret file, a managed identity or a workload identity")
	}
	if i.CertificatePasswordFile != "" && i.CertificateFile == "" {
		return errors.New("a certificate password file is set without a certificate file: " +
			"set both, or no password file")
	}
	return nil
}

func (i Identity) credentials() int {
	set := []bool{i.SecretFile != "", i.CertificateFile != "", i.ManagedIdentity != nil, i.WorkloadIdentity}
	return len(slices.DeleteFunc(set, func(isSet bool) bool { return !isSet }))
}

// files lists the files of the credential. The federated token is not among them:
// it is read for each login, and changes every hour without anything being wrong.
func (i Identity) files() []string {
	all := []string{i.SecretFile, i.CertificateFile, i.CertificatePasswordFile}
	return slices.DeleteFunc(all, func(path string) bool { return path == "" })
}
