//go:build postgres

package postgres

import (
	"errors"
	"strings"
	"testing"
)

// A queue that is being moved has no node, and one that has a node is not moved.
func TestMovingIsAlone(t *testing.T) {
	url := server.Database(t)
	moving := open(t, Options{URL: url, Moving: true})
	_, err := Open(t.Context(), Options{URL: url})
	want := "Queue in the database is being moved to another store; wait until graphrelay queue move has ended"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("a node beside a move: %v", err)
	}
	must(t, moving.Close())
	node := open(t, Options{URL: url})
	_, err = Open(t.Context(), Options{URL: url, Moving: true})
	if _, inUse := errors.AsType[*InUse](err); !inUse {
		t.Errorf("a move beside a node: %v", err)
	}
	must(t, node.Close())
	must(t, open(t, Options{URL: url, Moving: true}).Close())
}
