// Package graphtest makes doubles of Entra and Graph for tests, and what a client
// of them needs. It fails the test where a double cannot start.
package graphtest

import (
	"net/url"
	"testing"

	"graphrelay/relay/entra"
	"graphrelay/relay/graph"
	"graphrelay/relay/sandbox"
)

// Start starts a double that ends with the test, and returns it with the
// configuration of a client of it.
func Start(t testing.TB, o sandbox.Options) (*sandbox.Double, graph.Config) {
	t.Helper()
	d, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Start(""); err != nil {
		t.Fatal(err)
	}
	files, err := d.WriteFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	return d, graph.Config{
		Name:     "contoso",
		Identity: entra.Identity{TenantID: d.TenantID(), ClientID: d.ClientID(), SecretFile: files.Secret},
		CAFile:   files.CA, Login: at, Graph: at,
	}
}
