package verify_test

import (
	"context"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/setup/certificate"
	"graphrelay/relay/verify"
)

const (
	sender = "notifications@contoso.com"
	canary = "denied@contoso.com"
	admin  = "admin@contoso.com"
	group  = "graphrelay-senders@contoso.com"
)

func address(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// tenant is a double with an identity that logs in by certificate.
type tenant struct {
	*sandbox.Double
	t      *testing.T
	dir    string
	config graph.Config
	id     verify.Identity
}

func newTenant(t *testing.T) *tenant {
	t.Helper()
	d, err := sandbox.New(sandbox.Options{Mailboxes: []string{sender, canary, admin, "scanner@contoso.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	x := &tenant{Double: d, t: t, dir: t.TempDir()}
	endpoint, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	x.write("ca.pem", d.CAPEM())
	x.config = graph.Config{
		Name: "contoso", CAFile: filepath.Join(x.dir, "ca.pem"), Login: endpoint, Graph: endpoint,
		Identity: entra.Identity{
			TenantID: d.TenantID(), ClientID: d.ClientID(), CertificateFile: filepath.Join(x.dir, "entra.pem"),
		},
	}
	x.upload(x.newPair(time.Now(), 730))
	x.id = verify.Identity{
		Name: "contoso", TenantID: d.TenantID(), ClientID: d.ClientID(),
		Allowed: []envelope.Address{address(t, sender)}, Denied: []envelope.Address{address(t, canary)},
		Open: func() (verify.Client, error) { return largemail.New(x.config) },
	}
	return x
}

func (x *tenant) write(name string, data []byte) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.dir, name), data, 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// newPair makes a key pair and puts it in place; the certificate is returned
// for the upload.
func (x *tenant) newPair(from time.Time, days int) *x509.Certificate {
	x.t.Helper()
	p, err := certificate.New(certificate.Request{Name: "graphrelay", Days: days, Bits: 2048, Now: from})
	if err != nil {
		x.t.Fatal(err)
	}
	x.write("entra.pem", p.PEM)
	cert, err := x509.ParseCertificate(p.Cer)
	if err != nil {
		x.t.Fatal(err)
	}
	return cert
}

func (x *tenant) upload(cert *x509.Certificate) { x.SetCertificates(cert) }

func (x *tenant) set(a sandbox.Access, propagation time.Duration) {
	x.t.Helper()
	if err := x.SetAccess(a, propagation); err != nil {
		x.t.Fatal(err)
	}
}

// policy is a consent narrowed to the members of a group.
func policy(members ...string) sandbox.Access {
	return sandbox.Access{
		Consents: []string{"Mail.Send"}, Groups: map[string][]string{group: members},
		Policies: []sandbox.AccessPolicy{{Right: "RestrictAccess", Scope: group}},
	}
}

// role is RBAC for Applications for the members of a group.
func role(members ...string) sandbox.Access {
	return sandbox.Access{
		Groups:      map[string][]string{group: members},
		Assignments: []sandbox.RoleAssignment{{Role: "Application Mail.Send", Scope: group}},
	}
}

func (x *tenant) verifier() verify.Verifier {
	return verify.Verifier{To: address(x.t, admin)}
}

func (x *tenant) verify() verify.Report {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return x.verifier().Verify(ctx, x.id)
}
