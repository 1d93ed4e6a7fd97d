package largemail

import (
	"context"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/graphtest"
	"graphrelay/relay/sandbox"
)

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
	d, cfg := graphtest.Start(t, o)
	return d, mustNew(t, cfg)
}

func anyClient(t testing.TB) *Client {
	t.Helper()
	_, cfg := graphtest.Start(t, sandbox.Options{})
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
