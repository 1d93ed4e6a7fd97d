//go:build postgres

package nodes_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/spool/postgres/pgtest"
)

const patience = 2 * time.Minute

// The tests mostly wait for leases to expire, so all of them run at a time, whatever the
// processors are.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// cluster is a database, and what its nodes have in common.
type cluster struct {
	t        testing.TB
	server   *pgtest.Server
	url      string
	double   *harness.Double
	settings []harness.Setting
}

// node is a relay on the queue of a cluster.
type node struct {
	*harness.Relay
	id string // in node_lease, since its last start
}

func newCluster(t *testing.T, double []harness.DoubleSetting, settings ...harness.Setting) *cluster {
	t.Helper()
	t.Parallel()
	server := pgtest.For(t)
	return &cluster{t: t, server: server, url: server.Database(t), double: harness.StartDouble(t, double...),
		settings: settings}
}

// rows are the first column of what a query gives; the tables' names need graphrelay before them.
func (c *cluster) rows(sql string) []string {
	c.t.Helper()
	return c.server.Exec(c.t, pgtest.Name(c.url), sql)
}

// join adds a node, of which the others are told nothing, and waits until it is ready.
func (c *cluster) join(settings ...harness.Setting) *node {
	c.t.Helper()
	n := &node{Relay: harness.NewRelay(c.t, c.double,
		slices.Concat([]harness.Setting{harness.StoreURL(c.url), harness.Watched()}, c.settings, settings)...)}
	c.start(n)
	return n
}

// start starts a node that does not run, and waits until it is ready: it is a new one to the others.
func (c *cluster) start(n *node) {
	c.t.Helper()
	var before []string
	if made := c.rows("SELECT to_regclass('graphrelay.node_lease')::text"); made[0] != "" {
		before = c.rows("SELECT id FROM graphrelay.node_lease")
	}
	n.Start()
	for _, id := range c.rows("SELECT id FROM graphrelay.node_lease") {
		if !slices.Contains(before, id) {
			n.id = id
			return
		}
	}
	c.t.Fatalf("no row of node_lease is new\n%s", n.Tail())
}

// lanes are the mailboxes whose mail a node sends.
func (c *cluster) lanes(n *node) []string {
	c.t.Helper()
	return c.rows("SELECT lane FROM graphrelay.lane WHERE lane <> '' AND node = " + n.id)
}

// sender waits until one of two nodes sends the mail of a mailbox, and returns it and the other.
func (c *cluster) sender(mailbox string, one, other *node) (sends, does *node) {
	c.t.Helper()
	harness.Until(c.t, patience, "a node that sends the mail of "+mailbox, func() bool {
		switch id := strings.Join(c.rows("SELECT node FROM graphrelay.lane WHERE lane = '"+mailbox+"'"), ""); id {
		case one.id:
			sends, does = one, other
		case other.id:
			sends, does = other, one
		}
		return sends != nil
	})
	return sends, does
}

// interrupted lists by Message-ID the messages of which an attempt was interrupted when a node died.
func (c *cluster) interrupted() []string {
	c.t.Helper()
	return c.rows("SELECT message_id FROM graphrelay.message WHERE crashes > 0")
}

// limits fails where the double had more requests of a mailbox at once than a node may make alone.
func (c *cluster) limits(most int) {
	c.t.Helper()
	for mailbox, s := range c.double.Stats().Mailboxes {
		if s.MaxConcurrent > most {
			c.t.Errorf("%s had %d requests at once, of %d that are allowed", mailbox, s.MaxConcurrent, most)
		}
	}
}

// sent is how much mail a node has sent in the last hour.
func (n *node) sent() int {
	var s struct {
		Hour struct{ Sent int } `json:"last_hour"`
	}
	n.Status(&s)
	return s.Hour.Sent
}
