package largemail_test

import (
	"net/url"
	"path/filepath"
	"testing"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/sandbox"
)

// mailbox is the one of these tests; they run against the sandbox.
const mailbox = "relay@contoso.com"

// start runs a double that the test's end closes, and a client of it.
func start(t testing.TB, o sandbox.Options) (*sandbox.Double, *largemail.Client) {
	t.Helper()
	d, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Start(""); err != nil {
		t.Fatal(err)
	}
	files, err := d.WriteFiles(filepath.Join(t.TempDir(), "double"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := largemail.New(graph.Config{
		Name:     "test",
		Identity: entra.Identity{TenantID: d.TenantID(), ClientID: d.ClientID(), SecretFile: files.Secret},
		CAFile:   files.CA, Login: at, Graph: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

func parse(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func inject(t *testing.T, d *sandbox.Double, f sandbox.Fault) {
	t.Helper()
	if err := d.Inject(f); err != nil {
		t.Fatal(err)
	}
}
