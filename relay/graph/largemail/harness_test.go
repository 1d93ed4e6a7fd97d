package largemail

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/sandbox"
)

// imitated is a config for a sandbox.
func imitated(t testing.TB, o sandbox.Options) (*sandbox.Double, graph.Config) {
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
	return d, graph.Config{
		Name:     "test",
		Identity: entra.Identity{TenantID: d.TenantID(), ClientID: d.ClientID(), SecretFile: files.Secret},
		CAFile:   files.CA, Login: at, Graph: at,
	}
}

func mustNew(t testing.TB, cfg graph.Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mailbox is the one of these tests.
const mailbox = "relay@contoso.com"

// start runs a double that the test's end closes, and a client of it.
func start(t testing.TB, o sandbox.Options) (*sandbox.Double, *Client) {
	t.Helper()
	d, cfg := imitated(t, o)
	return d, mustNew(t, cfg)
}

func anyClient(t testing.TB) *Client {
	t.Helper()
	_, cfg := imitated(t, sandbox.Options{})
	return mustNew(t, cfg)
}

func address(t testing.TB, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func within10s(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
