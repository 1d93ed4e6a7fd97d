package sqlite

import (
	"errors"
	"fmt"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/sqlite/file"
)

// Numbers that mark a database as ours. The version grows with every change of
// the tables; a store of a newer version is refused.
const (
	applicationID = 0x67726c79 // "grly"
	schemaVersion = 5
)

// The tables. Times are nanoseconds since 1970, 0 for none; addresses are text;
// a lane is the Key of a mailbox. message.n is the number of the draft that
// became the message and never leaves the store.
//
// The indexes: due serves Claim, one look-up for each turn (with last and sender_hash
// so that probes and SendAs holds need no look at the rows), by_state serves List and the messages
// found Sending at start, live the counters and the oldest message of a lane, done
// the sweeper, owed the maker of reports, bounced
// who asks for what was not delivered. search_index.go explains the table word.
const schema = `
CREATE TABLE meta (k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE message (
	n INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	state INTEGER NOT NULL,
	lane TEXT NOT NULL,
	mailbox TEXT NOT NULL,
	sender TEXT NOT NULL,
	sender_hash INTEGER NOT NULL,
	reverse_path TEXT NOT NULL,
	recipients TEXT NOT NULL,
	utf8 INTEGER NOT NULL,
	client TEXT NOT NULL,
	client_addr TEXT NOT NULL,
	helo TEXT NOT NULL,
	login TEXT NOT NULL,
	sender_fixed INTEGER NOT NULL,
	report_of TEXT NOT NULL,
	report_delay INTEGER NOT NULL,
	message_id TEXT NOT NULL,
	subject TEXT NOT NULL,
	header_size INTEGER NOT NULL,
	size INTEGER NOT NULL,
	accepted INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	settled INTEGER NOT NULL DEFAULT 0,
	crashes INTEGER NOT NULL DEFAULT 0,
	unknown INTEGER NOT NULL DEFAULT 0,
	next INTEGER NOT NULL DEFAULT 0,
	last INTEGER NOT NULL DEFAULT 0,
	held_for INTEGER NOT NULL DEFAULT 0,
	held_since INTEGER NOT NULL DEFAULT 0,
	status INTEGER NOT NULL DEFAULT 0,
	text TEXT NOT NULL DEFAULT '',
	request TEXT NOT NULL DEFAULT '',
	finished INTEGER NOT NULL DEFAULT 0,
	body_gone INTEGER NOT NULL DEFAULT 0,
	report INTEGER NOT NULL DEFAULT 0,
	warned INTEGER NOT NULL DEFAULT 0,
	events INTEGER NOT NULL DEFAULT 0,
	unreported TEXT NOT NULL DEFAULT '',
	local_user TEXT NOT NULL DEFAULT '',
	turn INTEGER NOT NULL DEFAULT 0,
	automatic INTEGER NOT NULL DEFAULT 0,
	bounces INTEGER NOT NULL DEFAULT 0,
	bounces_reported INTEGER NOT NULL DEFAULT 0,
	report_bounces INTEGER NOT NULL DEFAULT 0,
	implied INTEGER NOT NULL DEFAULT 0,
	http INTEGER NOT NULL DEFAULT 0,
	duration INTEGER NOT NULL DEFAULT 0
);
` + dueIndex + bouncedIndex + `
CREATE INDEX by_state ON message (state, id, lane);
CREATE INDEX live ON message (lane, accepted, state, size, body_gone) WHERE state < 5;
CREATE INDEX done ON message (state, body_gone, finished) WHERE finished > 0;
CREATE INDEX owed ON message (finished, id) WHERE report = 1;
CREATE TABLE word (k INTEGER PRIMARY KEY);
CREATE TABLE chunk (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE draft (n INTEGER PRIMARY KEY);
CREATE TABLE event (
	n INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	at INTEGER NOT NULL,
	kind TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	status INTEGER NOT NULL,
	text TEXT NOT NULL,
	request TEXT NOT NULL,
	http INTEGER NOT NULL,
	duration INTEGER NOT NULL,
	unknown INTEGER NOT NULL DEFAULT 0,
	recipient TEXT NOT NULL DEFAULT '',
	remote TEXT NOT NULL DEFAULT '',
	origin TEXT NOT NULL DEFAULT '',
	probable INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (n, seq)
) WITHOUT ROWID;
CREATE TABLE hold (
	k TEXT PRIMARY KEY,
	mailbox TEXT NOT NULL,
	mailboxes TEXT NOT NULL,
	sender TEXT NOT NULL,
	identity TEXT NOT NULL,
	status INTEGER NOT NULL,
	text TEXT NOT NULL,
	since INTEGER NOT NULL,
	probes INTEGER NOT NULL,
	next_probe INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE ending (
	e INTEGER PRIMARY KEY,
	mailboxes TEXT NOT NULL,
	sender TEXT NOT NULL,
	since INTEGER NOT NULL,
	until INTEGER NOT NULL,
	cursor TEXT NOT NULL
);` + refusalSchema

const dueIndex = "CREATE INDEX due ON message (lane, turn, next, last, sender_hash, size) WHERE state = 0;"

const bouncedIndex = "CREATE INDEX bounced ON message (id) WHERE bounces > 0;"

// The table of refusals: k is a hash of the rest of the key, so that a row is found
// without a second copy of its texts in an index.
const refusalSchema = `
CREATE TABLE IF NOT EXISTS refusal (
	k INTEGER PRIMARY KEY,
	hour INTEGER NOT NULL,
	addr TEXT NOT NULL,
	client TEXT NOT NULL,
	login TEXT NOT NULL,
	sender TEXT NOT NULL,
	domain TEXT NOT NULL,
	code INTEGER NOT NULL,
	status INTEGER NOT NULL,
	reason TEXT NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	count INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS refused ON refusal (last);`

// Parameters of the connections. Checkpoints are made by their own connection
// (checkpoint.go), never inside a commit.
const (
	commonParams = "_busy_timeout=5000&_error_rc=1&_dqs=0&_pragma=temp_store(2)"
	existing     = commonParams + "&mode=rw" // a database that was deleted is not made anew
	writerParams = existing + "&_auto_vacuum=INCREMENTAL&_journal_mode=WAL&_synchronous=" + synchronous +
		"&_pragma=wal_autocheckpoint(0)&_pragma=cache_size(-8192)&_pragma=journal_size_limit(16777216)"
	checkpointParams = existing + "&_synchronous=" + synchronous +
		"&_pragma=wal_autocheckpoint(0)&_pragma=cache_size(-256)"
	readerParams = existing + "&_pragma=wal_autocheckpoint(0)&_pragma=cache_size(-2048)&_query_only=1"
	viewerParams = commonParams + "&mode=ro"
)

// dialWriter opens the writing connection and checks that it has the modes that
// the promises rely on.
func dialWriter(path string) (*db.Conn, error) {
	c, err := file.Dial(path, writerParams)
	if err != nil {
		return nil, err
	}
	if err := checkModes(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func checkModes(c *db.Conn) error {
	mode, err := c.Text("PRAGMA journal_mode")
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("spool: SQLite keeps journal mode %q instead of wal; "+
			"put the store on a local file system", mode)
	}
	sync, err := c.Number("PRAGMA synchronous")
	if err == nil && sync != synchronousLevel {
		err = fmt.Errorf("spool: SQLite runs with synchronous=%d instead of %d (%s)",
			sync, synchronousLevel, synchronous)
	}
	return err
}

// prepareSchema creates the tables of an empty store, or checks that a store
// is one of ours, of this version, and of the wanted kind.
func prepareSchema(c *db.Conn, sandbox bool) error {
	tables, err := c.Number("SELECT count(*) FROM sqlite_master")
	if err != nil {
		return err
	}
	if tables == 0 {
		return createSchema(c, sandbox)
	}
	if err := checkSchema(c, sandbox); err != nil {
		return err
	}
	return migrate(c)
}

func createSchema(c *db.Conn, sandbox bool) error {
	if v, err := c.Number("PRAGMA auto_vacuum"); err != nil || v != 2 {
		wrong := fmt.Errorf("spool: auto_vacuum is %d instead of 2 (INCREMENTAL) before the first table", v)
		return errors.Join(err, wrong)
	}
	steps := []string{
		"BEGIN IMMEDIATE",
		schema,
		fmt.Sprintf("INSERT INTO meta VALUES ('mark', '%s'), ('probe', '0'), ('words', '0')", markOf(sandbox)),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", schemaVersion),
		"COMMIT",
	}
	for _, s := range steps {
		if err := c.Run(s); err != nil {
			return err
		}
	}
	return nil
}

func checkSchema(c *db.Conn, sandbox bool) error {
	id, err := c.Number("PRAGMA application_id")
	if err != nil {
		return err
	}
	if id != applicationID {
		return errors.New("spool: the file is a database of another program; name another file in queue.store")
	}
	version, err := c.Number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: it has version %d, this program knows %d; "+
			"install the newer graphrelay again, or name an empty file in queue.store",
			spool.ErrSchema, version, schemaVersion)
	}
	if version < 1 {
		return errors.New("spool: the store has no schema version; " +
			"restore it from a backup, or name another file in queue.store")
	}
	mark, err := c.Text("SELECT v FROM meta WHERE k = 'mark'")
	if err != nil {
		return err
	}
	if mark != markOf(sandbox) {
		return fmt.Errorf("%w: it is marked %q instead of %q; name another file",
			spool.ErrSandbox, mark, markOf(sandbox))
	}
	return nil
}

func markOf(sandbox bool) string {
	if sandbox {
		return "sandbox"
	}
	return "real"
}
