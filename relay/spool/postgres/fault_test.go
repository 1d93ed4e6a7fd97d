//go:build postgres

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres/pgtest"
)

const patience = 2 * time.Minute

var box = func() envelope.Address {
	a, err := envelope.ParseAddress("box@example.org")
	if err != nil {
		panic(err)
	}
	return a
}()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newMessage makes a message; each has another queue ID.
func newMessage() spool.Message {
	return spool.Message{ID: envelope.NewQueueID(time.Now()), Mailbox: box, From: box, Accepted: time.Now(),
		Envelope: envelope.Envelope{ReversePath: box, Recipients: []envelope.Address{box}}}
}

func accept(s spool.Store, m spool.Message, body string) error {
	d, err := s.Begin(context.Background(), "", int64(len(body)))
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := io.WriteString(d, body); err != nil {
		return err
	}
	return d.Commit(context.Background(), m)
}

// acceptSoon repeats what a client would: the same message again until it is accepted.
func acceptSoon(t *testing.T, s spool.Store) spool.Message {
	t.Helper()
	m := newMessage()
	await(t, "a message to be accepted", func() bool { return accept(s, m, "body") == nil })
	return m
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

func claim(s spool.Store) ([]spool.Record, error) {
	return s.Claim(context.Background(), spool.Claim{Mailbox: box, Now: time.Now(), Limit: 10})
}

// wantQueue fails unless these messages are in the queue, and no others.
func wantQueue(t *testing.T, s spool.Store, want ...spool.Message) {
	t.Helper()
	list, err := s.List(t.Context(), spool.Filter{})
	must(t, err)
	var got, ids []envelope.QueueID
	for _, r := range list {
		got = append(got, r.ID)
	}
	for _, m := range want {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("the queue has %v, want %v", got, ids)
	}
}

// A commit whose answer is lost was made, and is found to be; one that never arrived was
// not, and is refused.
func TestLostCommit(t *testing.T) {
	proxy, url := pgtest.NewProxy(t, server.Database(t))
	s := open(t, Options{URL: url})
	first := acceptSoon(t, s)
	proxy.LoseAnswer()
	second := newMessage()
	must(t, accept(s, second, "body"))
	wantQueue(t, s, first, second)
	proxy.LoseQuestion()
	third := newMessage()
	if err := accept(s, third, "body"); err == nil || proxy.Waits() {
		t.Errorf("a commit that never arrived: %v", err)
	}
	wantQueue(t, s, first, second)
	proxy.LoseAnswer()
	taken, err := claim(s)
	must(t, err)
	if len(taken) != 2 || proxy.Waits() {
		t.Fatalf("claimed %d messages", len(taken))
	}
	proxy.LoseAnswer()
	must(t, s.Settle(t.Context(), spool.Settlement{ID: first.ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
	must(t, accept(s, third, "body"))
	wantQueue(t, s, first, second, third)
	if r, err := s.Get(t.Context(), first.ID); err != nil || r.State != spool.Sent || r.Attempts != 1 {
		t.Errorf("settled: %+v, %v", r, err)
	}
}

// While nobody can say whether a commit was made its callers get ErrUnhealthy, and so does
// everybody else. When the database is back, what was refused is not kept.
func TestDoubtfulCommit(t *testing.T) {
	proxy, url := pgtest.NewProxy(t, server.Database(t))
	s := open(t, Options{URL: url})
	first := acceptSoon(t, s)
	s.host.session.limit = 0
	for _, lose := range []func(){proxy.LoseAnswer, proxy.LoseQuestion} {
		lose()
		proxy.Refuse(true)
		if err := accept(s, newMessage(), "body"); !errors.Is(err, spool.ErrUnhealthy) {
			t.Errorf("a doubtful commit: %v", err)
		}
		if err := s.Health(); !errors.Is(err, spool.ErrUnhealthy) {
			t.Errorf("health: %v", err)
		}
		proxy.Refuse(false)
		await(t, "the store to be healthy", func() bool { return s.Health() == nil })
		wantQueue(t, s, first)
	}
	wantQueue(t, s, first, acceptSoon(t, s))
}

// A commit that did not wait for the standby is none, until the standby has it.
func TestCommitWithoutStandby(t *testing.T) {
	own := pgtest.For(t)
	standby := own.Standby(t)
	s := open(t, Options{URL: own.Database(t)})
	first := acceptSoon(t, s)
	standby.Freeze()
	second, done := newMessage(), make(chan error, 1)
	go func() { done <- accept(s, second, "body") }()
	const waiting = "SELECT pid FROM pg_stat_activity " +
		"WHERE wait_event = 'SyncRep' AND application_name LIKE 'graphrelay%'"
	await(t, "the commit to wait for the standby", func() bool { return len(own.Exec(t, "postgres", waiting)) == 1 })
	own.Exec(t, "postgres", "SELECT pg_cancel_backend(pid) FROM ("+waiting+") AS one")
	standby.Thaw()
	if err := <-done; err != nil { // it was decided by a commit that waited
		second = acceptSoon(t, s)
	}
	wantQueue(t, s, first, second)
}

// A server that is restarted loses nothing that was accepted, and mail is accepted again.
func TestServerRestarted(t *testing.T) {
	own := pgtest.For(t)
	s := open(t, Options{URL: own.Database(t)})
	kept := []spool.Message{acceptSoon(t, s)}
	for range 3 {
		must(t, own.Kill())
		must(t, own.Launch())
		kept = append(kept, acceptSoon(t, s))
	}
	wantQueue(t, s, kept...)
	taken, err := claim(s)
	must(t, err)
	if len(taken) != len(kept) {
		t.Errorf("claimed %d of %d", len(taken), len(kept))
	}
}

// A server that says nothing, with its connections open, makes the store unhealthy; what was
// under way is kept if its client was told so, and only then.
func TestServerFrozen(t *testing.T) {
	t.Parallel() // it waits for times of the database
	own := pgtest.For(t)
	s := open(t, Options{URL: own.Database(t)})
	kept := []spool.Message{acceptSoon(t, s)}
	own.Freeze()
	m, done := newMessage(), make(chan error, 1)
	go func() { done <- accept(s, m, "body") }()
	await(t, "the store to be unhealthy", func() bool { return errors.Is(s.Health(), spool.ErrUnhealthy) })
	own.Thaw()
	if err := <-done; err == nil {
		kept = append(kept, m)
	}
	wantQueue(t, s, append(kept, acceptSoon(t, s))...)
	if s.host.lease.isOver.Load() {
		t.Error("the node has lost its lease to nobody")
	}
}

// When the server dies and its standby is promoted, the node goes on with it: what was
// accepted is there, and nothing else.
func TestFailover(t *testing.T) {
	own := pgtest.For(t)
	standby := own.Standby(t)
	database := own.Database(t)
	hosts := fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", own.Port, standby.Port)
	s := open(t, Options{URL: strings.Replace(database, fmt.Sprintf("127.0.0.1:%d", own.Port), hosts, 1)})
	kept := []spool.Message{acceptSoon(t, s), acceptSoon(t, s)}
	taken, err := claim(s)
	must(t, err)
	must(t, own.Kill())
	if err := accept(s, newMessage(), "body"); err == nil {
		t.Error("a message was accepted without a server")
	}
	standby.Promote(t)
	kept = append(kept, acceptSoon(t, s))
	wantQueue(t, s, kept...)
	must(t, s.Settle(t.Context(), spool.Settlement{ID: taken[0].ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
	if s.host.lease.isOver.Load() {
		t.Error("the node has lost its lease to nobody")
	}
}

// A full database is ErrFull, for as long as it is one; what is under way is recorded.
func TestFullDatabase(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	name := pgtest.Name(database)
	s := open(t, Options{URL: database})
	first := acceptSoon(t, s)
	taken, err := claim(s)
	must(t, err)
	server.Exec(t, name, `CREATE FUNCTION graphrelay.full() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE disk_full; END $$;
		CREATE TRIGGER full_disk BEFORE INSERT ON graphrelay.chunk EXECUTE FUNCTION graphrelay.full()`)
	err = accept(s, newMessage(), "body")
	if !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), "PostgreSQL is full; free space") {
		t.Errorf("a full database: %v", err)
	}
	if err := s.Admit("", 0); !errors.Is(err, spool.ErrFull) {
		t.Errorf("admitted: %v", err)
	}
	must(t, s.Settle(t.Context(), spool.Settlement{ID: taken[0].ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
	server.Exec(t, name, "DROP TRIGGER full_disk ON graphrelay.chunk")
	wantQueue(t, s, first, acceptSoon(t, s))
}

// What cannot keep the queue safe is refused with what to do.
func TestRefusedServers(t *testing.T) {
	own := pgtest.For(t)
	standby := own.Standby(t)
	database := own.Database(t)
	name := pgtest.Name(database)
	refused := func(url, want string, kind error) {
		t.Helper()
		_, err := Open(t.Context(), Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || kind != nil && !errors.Is(err, kind) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused(standby.URL("postgres"), "PostgreSQL only reads: it is a standby", nil)
	refused(own.URL("none"), "does not exist; create it", nil)
	own.Exec(t, "postgres", "CREATE ROLE weak LOGIN")
	refused(strings.Replace(database, "postgres@", "weak@", 1), "lacks rights in its database; let", nil)
	if _, err := Examine(strings.Replace(database, "postgres@", "weak@", 1)); err == nil ||
		!strings.Contains(err.Error(), "[it lacks CREATE on the database]") {
		t.Errorf("examined without the right to make tables: %v", err)
	}
	own.Exec(t, name, "CREATE SCHEMA graphrelay; CREATE TABLE graphrelay.message (n int)")
	refused(database, "has tables of another program; name another", nil)
	own.Exec(t, name, "DROP SCHEMA graphrelay CASCADE")
	must(t, open(t, Options{URL: database}).Close())
	_, err := Open(t.Context(), Options{URL: database, MarkSandbox: true})
	if !errors.Is(err, spool.ErrSandbox) {
		t.Errorf("a sandbox: %v", err)
	}
	weak := strings.Replace(database, "postgres@", "weak@", 1)
	refused(weak, "lacks rights in its database; let the user own", nil)
	own.Exec(t, name, "GRANT USAGE ON SCHEMA graphrelay TO weak; "+
		"GRANT SELECT ON ALL TABLES IN SCHEMA graphrelay TO weak")
	refused(weak, "[it lacks SELECT, INSERT, UPDATE, DELETE on table graphrelay.", nil)
	if _, err := Examine(weak); err == nil || !strings.Contains(err.Error(), "[it lacks SELECT, INSERT") {
		t.Errorf("examined with the rights of a reader: %v", err)
	}
	const broken = "are not whole; restore all of schema graphrelay from one backup, or name another database in "
	for _, change := range [][2]string{
		{"UPDATE graphrelay.meta SET v = '0' WHERE k = 'version'",
			"UPDATE graphrelay.meta SET v = '1' WHERE k = 'version'"},
		{"ALTER TABLE graphrelay.event SET SCHEMA public", "ALTER TABLE public.event SET SCHEMA graphrelay"},
		{"DELETE FROM graphrelay.number", "INSERT INTO graphrelay.number VALUES (1)"},
	} {
		own.Exec(t, name, change[0])
		refused(database, broken, nil)
		own.Exec(t, name, change[1])
	}
	must(t, open(t, Options{URL: database}).Close())
	own.Exec(t, name, "UPDATE graphrelay.meta SET v = '99' WHERE k = 'version'")
	refused(database, "have version 99, this program knows", spool.ErrSchema)
	own.Exec(t, "postgres", "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	refused(database, "PostgreSQL only reads", nil)
	own.Exec(t, "postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
	refused(own.URL("latin"), `has the encoding "LATIN1" instead of UTF8; create`, nil)
	must(t, own.Kill())
	refused(database, "PostgreSQL cannot be reached; start it", nil)
	loose := pgtest.For(t, "fsync = off")
	refused(loose.URL("postgres"), "runs with fsync = off", nil)
}

// The queue can be read whoever works on it.
func TestReadOnly(t *testing.T) {
	database := server.Database(t)
	_, err := OpenReadOnly(t.Context(), database)
	if err == nil || !strings.Contains(err.Error(), "no queue in the database yet") {
		t.Errorf("an empty database: %v", err)
	}
	if e, err := Examine(database); err != nil || !e.Empty || !e.Alone || !strings.HasPrefix(e.Server, "PostgreSQL 1") {
		t.Errorf("examined %+v, %v", e, err)
	}
	s := open(t, Options{URL: database})
	m := acceptSoon(t, s)
	r, err := OpenReadOnly(t.Context(), database)
	must(t, err)
	defer r.Close()
	if lanes, err := r.Lanes(t.Context()); err != nil || len(lanes) != 1 || lanes[0].Queued != 1 {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
	list, err := r.List(t.Context(), spool.Filter{Find: "BOX@"})
	if err != nil || len(list) != 1 || list[0].ID != m.ID {
		t.Errorf("found %+v, %v", list, err)
	}
	if e, err := Examine(database); err != nil || len(e.Nodes) != 1 || e.Empty {
		t.Errorf("examined %+v, %v", e, err)
	}
}

// A crash of a node leaves its lease: the next one takes its lanes when it has ended.
func TestCrashedNode(t *testing.T) {
	t.Parallel() // it waits for times of the database
	database := server.Database(t)
	crashed, err := Open(t.Context(), Options{URL: database})
	must(t, err)
	m := acceptSoon(t, crashed)
	_, err = claim(crashed)
	must(t, err)
	crashed.host.lease.stop() // and nothing more
	next := open(t, Options{URL: database, RequestLimit: hour})
	wantRunningElsewhere(t, next, m)
	_ = pacing.Sleep(t.Context(), 0)
	must(t, crashed.Close())
}
