package graph_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/graphtest"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// mailbox is the one of these tests; they run against the sandbox.
const mailbox = "relay@contoso.com"

// start runs a double that the test's end closes, and a client of it.
func start(t testing.TB, o sandbox.Options) (*sandbox.Double, *graph.Client) {
	t.Helper()
	d, cfg := graphtest.Start(t, o)
	c, err := graph.New(cfg)
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

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func send(t *testing.T, c *graph.Client, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, "\n", "\r\n")
	a := c.Send(soon(t), parse(t, mailbox), graph.Mail{ID: "q", Size: int64(len(text)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	if a.Outcome != outcome.Delivered {
		t.Fatalf("%+v", a)
	}
}

func inject(t *testing.T, d *sandbox.Double, f sandbox.Fault) {
	t.Helper()
	if err := d.Inject(f); err != nil {
		t.Fatal(err)
	}
}
