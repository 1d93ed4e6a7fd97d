package e2e_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// testCertificate is that of the key in the files of entra/testdata/credentials.
func testCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	rest := []byte(readFile(t, credentialFile("pkcs8.pem")))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("no certificate")
		}
		if block.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			return cert
		}
	}
}

func credentialFile(name string) string {
	path, _ := filepath.Abs(filepath.Join("..", "entra", "testdata", "credentials", name))
	return path
}

// Mail leaves under each kind of credential that the configuration knows.
func TestEveryCredential(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	harness.WriteFile(t, password, "pass word-ü\n")
	cert := testCertificate(t)
	d := harness.StartDouble(t,
		func(o *sandbox.Options) { o.Certificates, o.Secret = []*x509.Certificate{cert}, "a-good-secret" })
	if err := d.StartMetadata(""); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IDENTITY_ENDPOINT", d.MetadataURL())
	t.Setenv("IDENTITY_HEADER", d.MetadataSecret())
	federated, err := d.FederatedToken(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(dir, "token"), federated)
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", filepath.Join(dir, "token"))
	harness.WriteFile(t, filepath.Join(dir, "secret"), d.Secret())
	for _, credential := range []string{
		"client_secret_file: " + filepath.Join(dir, "secret"),
		"certificate_file: " + credentialFile("pkcs1.pem"),
		"certificate_file: " + credentialFile("chain.pem"),
		"certificate_file: " + credentialFile("encrypted.pem") + ", certificate_password_file: " + password,
		"certificate_file: " + credentialFile("modern.pfx") + ", certificate_password_file: " + password,
		"certificate_file: " + credentialFile("legacy.pfx") + ", certificate_password_file: " + password,
		"managed_identity: true",
		"managed_identity: {client_id: " + d.ClientID() + "}",
		"workload_identity: true",
	} {
		t.Run(credential, func(t *testing.T) {
			before := d.Count()
			smtp := runWith(t, "identities:\n  - "+identityOf(t, d, credential)+"\nsenders: [{address: "+
				harness.Sender+"}]\n")
			sendTo(t, smtp, harness.Sender)
			d.WaitFor(t, before+1, time.Minute)
		})
	}
}

// Two companies' tenants on one relay: each mailbox sends through its own, and
// what stops one does not stop the other.
func TestTwoTenants(t *testing.T) {
	contoso := harness.StartDouble(t)
	fabrikam := harness.StartDouble(t, func(o *sandbox.Options) {
		o.TenantID, o.ClientID = "33333333-3333-3333-3333-333333333333", "44444444-4444-4444-4444-444444444444"
	})
	dir := t.TempDir()
	secret := func(d *harness.Double) string {
		path := filepath.Join(dir, d.TenantID())
		harness.WriteFile(t, path, d.Secret())
		return path
	}
	contosoSecret := secret(contoso)
	old := contoso.Secret()
	contoso.SetSecret("renewed-in-the-portal") // the file is out of date
	smtp := runWith(t, "identities:\n"+
		"  - "+identityOf(t, contoso, "name: contoso, client_secret_file: "+contosoSecret)+"\n"+
		"  - "+identityOf(t, fabrikam, "name: fabrikam, client_secret_file: "+secret(fabrikam))+"\n"+
		"senders: [{address: a@contoso.com}, {address: b@fabrikam.com}]\n"+
		"mailboxes: [{address: a@contoso.com, identity: contoso}, {address: b@fabrikam.com, identity: fabrikam}]\n")
	sendTo(t, smtp, "a@contoso.com")
	sendTo(t, smtp, "b@fabrikam.com")
	fabrikam.WaitFor(t, 1, time.Minute)
	if n := contoso.Count(); n != 0 {
		t.Fatalf("%d messages with the secret %s", n, old)
	}
	// The file catches up: no restart, and the hold is probed at once.
	if err := os.WriteFile(contosoSecret, []byte("renewed-in-the-portal\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := contoso.WaitFor(t, 1, 50*time.Second); got[0].Mailbox != "a@contoso.com" {
		t.Errorf("%+v", got)
	}
	if got := fabrikam.Received(); len(got) != 1 || got[0].Mailbox != "b@fabrikam.com" {
		t.Errorf("%+v", got)
	}
}

// identityOf is an entry of identities, for a double and with further keys.
func identityOf(t *testing.T, d *harness.Double, keys string) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	harness.WriteFile(t, ca, string(d.CA()))
	return strings.Join(append(strings.Split(keys, ", "), "tenant_id: "+d.TenantID(), "client_id: "+d.ClientID(),
		"ca_file: "+ca,
		"endpoints: {login: \""+d.URL()+"\", graph: \""+d.URL()+"\"}"), "\n    ")
}

// runWith runs a relay of these identities and senders, and tells where it listens.
func runWith(t *testing.T, yaml string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gr") // a short name, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	smtp := harness.FreeAddr(t)
	runRelay(t, yaml+"smtp: {listeners: [{address: \""+smtp+
		"\"}]}\nqueue: {store: \"sqlite:queue.db\"}\nadmin: {address: \"unix:"+filepath.Join(dir, "a.sock")+
		"\"}\n", dir, io.Discard)
	return smtp
}

func sendTo(t *testing.T, smtp, from string) {
	t.Helper()
	c := harness.Hello(t, smtp)
	defer c.Close()
	c.Want(c.Send(from, []string{"someone@example.org"},
		strings.Join([]string{"From: " + from, "To: someone@example.org", "Subject: x", "", "x", ""}, "\r\n")), 250)
}
