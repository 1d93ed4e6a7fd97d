//go:build postgres

package postgres

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres/pgtest"
	"graphrelay/relay/spool/spooltest"
)

// server is for the tests that do it no harm.
var server *pgtest.Server

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, &server)) }

func TestPostgresConforms(t *testing.T) { spooltest.Run(t, opens(0)) }

func TestPostgresIsShared(t *testing.T) { spooltest.RunShare(t, opens(spooltest.Limit)) }

func opens(limit int) spooltest.Open {
	return func(t *testing.T, now func() time.Time) spool.Store {
		return open(t, Options{URL: server.Database(t), MaxMessages: limit, Now: now})
	}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
