package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/text"
)

// schemaVersion grows with every change of the tables; a newer one is refused. The tables
// are those of SQLite with those that several nodes need; see relay/spool/tables for what the
// others mean. node_lease has a row for each node that works: its batch is the number of the
// node's last transaction. lane says whose mail a node sends (0: none does), and how fast that
// may go on; the lane ” is the leader's.
const schemaVersion = 1

// The tables. Keys are compared by bytes. message has room in each page for what an attempt
// changes, so that most changes need no index and no new page; and what the queue changes
// all the time is vacuumed early, whatever the server's settings are for others. A body is
// encoded text that hardly compresses, so it is stored as it is, with our checksum. Due has
// messages in the very order in which they are claimed: many may be due at the same time.
const schema = `
CREATE TABLE meta (k text COLLATE "C" PRIMARY KEY, v text NOT NULL);
CREATE TABLE node_lease (
	id bigint PRIMARY KEY,
	holder text NOT NULL,
	moving bigint NOT NULL,
	until timestamptz NOT NULL,
	batch bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
CREATE TABLE lane (lane text COLLATE "C" PRIMARY KEY, node bigint NOT NULL, pace text NOT NULL DEFAULT '')
	WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.02);
CREATE TABLE number (next bigint NOT NULL) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200,
	autovacuum_vacuum_scale_factor = 0);
INSERT INTO number VALUES (1);
CREATE TABLE message (
	n bigint PRIMARY KEY,
	id text COLLATE "C" NOT NULL UNIQUE,
	state bigint NOT NULL,
	lane text COLLATE "C" NOT NULL,
	mailbox text NOT NULL,
	sender text COLLATE "C" NOT NULL,
	sender_hash bigint NOT NULL,
	reverse_path text COLLATE "C" NOT NULL,
	recipients text COLLATE "C" NOT NULL,
	utf8 bigint NOT NULL,
	client text COLLATE "C" NOT NULL,
	client_addr text NOT NULL,
	helo text NOT NULL,
	login text NOT NULL,
	sender_fixed bigint NOT NULL,
	report_of text COLLATE "C" NOT NULL,
	report_delay bigint NOT NULL,
	message_id text COLLATE "C" NOT NULL,
	subject text COLLATE "C" NOT NULL,
	header_size bigint NOT NULL,
	size bigint NOT NULL,
	accepted bigint NOT NULL,
	attempts bigint NOT NULL DEFAULT 0,
	settled bigint NOT NULL DEFAULT 0,
	crashes bigint NOT NULL DEFAULT 0,
	unknown bigint NOT NULL DEFAULT 0,
	next bigint NOT NULL DEFAULT 0,
	last bigint NOT NULL DEFAULT 0,
	held_for bigint NOT NULL DEFAULT 0,
	held_since bigint NOT NULL DEFAULT 0,
	status bigint NOT NULL DEFAULT 0,
	text text NOT NULL DEFAULT '',
	request text NOT NULL DEFAULT '',
	finished bigint NOT NULL DEFAULT 0,
	body_gone bigint NOT NULL DEFAULT 0,
	report bigint NOT NULL DEFAULT 0,
	warned bigint NOT NULL DEFAULT 0,
	events bigint NOT NULL DEFAULT 0,
	unreported text NOT NULL DEFAULT '',
	local_user text NOT NULL DEFAULT '',
	turn bigint NOT NULL DEFAULT 0,
	automatic bigint NOT NULL DEFAULT 0,
	bounces bigint NOT NULL DEFAULT 0,
	bounces_reported bigint NOT NULL DEFAULT 0,
	report_bounces bigint NOT NULL DEFAULT 0,
	implied bigint NOT NULL DEFAULT 0,
	http bigint NOT NULL DEFAULT 0,
	duration bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
	autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX due ON message (lane, turn, next, n) INCLUDE (last, sender_hash, size) WHERE state = 0;
CREATE INDEX bounced ON message (id) WHERE bounces > 0;
CREATE INDEX by_state ON message (state, id, lane);
CREATE INDEX live ON message (lane, accepted, state, size, body_gone) WHERE state < 5;
CREATE INDEX done ON message (state, body_gone, finished) WHERE finished > 0;
CREATE INDEX owed ON message (finished, id) WHERE report = 1;
CREATE TABLE word (k bigint PRIMARY KEY) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE TABLE chunk (id bigint PRIMARY KEY, crc bigint NOT NULL, data bytea NOT NULL)
	WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200,
	toast.autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_threshold = 1000);
ALTER TABLE chunk ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE draft (
	n bigint PRIMARY KEY,
	node bigint NOT NULL DEFAULT CAST(current_setting('graphrelay.node') AS bigint)
);
CREATE TABLE event (
	n bigint NOT NULL,
	seq bigint NOT NULL,
	at bigint NOT NULL,
	kind text COLLATE "C" NOT NULL,
	attempt bigint NOT NULL,
	status bigint NOT NULL,
	text text NOT NULL,
	request text NOT NULL,
	http bigint NOT NULL,
	duration bigint NOT NULL,
	unknown bigint NOT NULL DEFAULT 0,
	recipient text COLLATE "C" NOT NULL DEFAULT '',
	remote text NOT NULL DEFAULT '',
	origin text NOT NULL DEFAULT '',
	probable bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (n, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE TABLE hold (
	k text COLLATE "C" PRIMARY KEY,
	mailbox text NOT NULL,
	mailboxes text NOT NULL,
	sender text NOT NULL,
	identity text NOT NULL,
	status bigint NOT NULL,
	text text NOT NULL,
	since bigint NOT NULL,
	probes bigint NOT NULL,
	next_probe bigint NOT NULL
);
CREATE TABLE ending (
	e bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	mailboxes text NOT NULL,
	sender text NOT NULL,
	since bigint NOT NULL,
	until bigint NOT NULL,
	cursor text NOT NULL
);
CREATE TABLE refusal (
	k bigint PRIMARY KEY,
	hour bigint NOT NULL,
	addr text NOT NULL,
	client text NOT NULL,
	login text NOT NULL,
	sender text NOT NULL,
	domain text NOT NULL,
	code bigint NOT NULL,
	status bigint NOT NULL,
	reason text NOT NULL,
	first bigint NOT NULL,
	last bigint NOT NULL,
	count bigint NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX refused ON refusal (last);` + glob

// glob is that of SQLite as far as a search needs it: a pattern of * at both ends, of
// characters, and of lists of them.
const glob = `
CREATE FUNCTION glob(pattern text, subject text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	$$ SELECT subject COLLATE "C" ~ regexp_replace(trim(both '*' FROM pattern), '([.+(){}^$|\\])', '\\\1', 'g') $$;`

// ErrNoQueue is returned where nobody has made the tables yet.
var ErrNoQueue = text.Cause{Headline: "There is no queue in the database yet",
	Remedy: "start the service, which makes it"}

// prepareSchema creates the tables in an empty database, or checks that those that are
// there are ours, of this version, and of the wanted kind. Two nodes may do so at once.
func prepareSchema(c *db.Conn, s *link.Session, mark string) error {
	return c.Transaction(func() error {
		if err := c.Run("SELECT pg_advisory_xact_lock(1735551097)"); err != nil { // "grly"
			return err
		}
		tables, err := countTables(c)
		switch {
		case err != nil:
			return err
		case tables > 0:
			return checkSchema(c, mark)
		}
		there, err := c.Number("SELECT count(*) FROM pg_namespace WHERE nspname = ?", link.Schema)
		if err == nil && there == 0 {
			err = c.Run("CREATE SCHEMA " + link.Schema)
		}
		if err == nil {
			err = s.Script(schema)
		}
		if err != nil {
			return err
		}
		return c.Run("INSERT INTO meta VALUES ('mark', ?), ('version', ?)", mark, strconv.Itoa(schemaVersion))
	})
}

func countTables(c *db.Conn) (int64, error) {
	return c.Number("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = "+
		"(SELECT oid FROM pg_namespace WHERE nspname = ?)", link.Schema)
}

// tableNames are the tables that the queue cannot be without.
func tableNames() (names []string) {
	for _, after := range strings.Split(schema, "CREATE TABLE ")[1:] {
		name, _, _ := strings.Cut(after, " ")
		names = append(names, name)
	}
	return names
}

// checkSchema refuses tables that are not those of this program, of this version, and of
// the kind of a mark; "": of any.
func checkSchema(c *db.Conn, mark string) error {
	const name = " another database in queue.store_url_file"
	names := tableNames()
	all, core, ours := int64(0), int64(0), int64(0)
	err := c.Query("SELECT count(*), count(*) FILTER (WHERE relname IN ('meta', 'message', 'node_lease')), "+
		"count(*) FILTER (WHERE relname = ANY(string_to_array(?, ','))) FROM pg_class "+
		"WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = ?)",
		[]any{strings.Join(names, ","), link.Schema}, func(r *db.Row) error {
			all, core, ours = r.Int(), r.Int(), r.Int()
			return r.Err
		})
	switch {
	case err != nil:
		return err
	case all == 0 && mark == "":
		return ErrNoQueue
	case core < 3:
		return text.Cause{Headline: "Schema graphrelay of the database has tables of another program",
			Remedy: "name" + name}
	}
	if err := checkRights(c); err != nil {
		return err
	}
	version, err := c.Number("SELECT CAST(v AS bigint) FROM meta WHERE k = 'version'")
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return refused{spool.ErrSchema, text.Cause{
			Headline: fmt.Sprintf("Tables of the queue have version %d, this program knows %d", version, schemaVersion),
			Remedy:   "install the newer graphrelay again, or name" + name}}
	}
	whole, err := c.Number("SELECT count(*) FROM number")
	if err == nil && (whole != 1 || version < 1 || ours < int64(len(names))) {
		err = text.Cause{Headline: "Tables of the queue in the database are not whole",
			Remedy: "restore all of schema graphrelay from one backup, or name" + name}
	}
	if err != nil {
		return err
	}
	has, err := c.Text("SELECT v FROM meta WHERE k = 'mark'")
	if err == nil && mark != "" && has != mark {
		err = refused{spool.ErrSandbox, text.Cause{
			Headline: fmt.Sprintf("Queue in the database is marked %q instead of %q", has, mark),
			Remedy:   "name" + name}}
	}
	return err
}

// refused is an error of the contract that says only its cause.
type refused struct {
	kind error
	text.Cause
}

func (r refused) Unwrap() []error { return []error{r.kind, r.Cause} }

// checkRights refuses a user who could read the tables, or not even that, and not write them; or,
// where there are none, not make them.
func checkRights(c *db.Conn) error {
	lacks := ""
	err := c.Query(`SELECT CASE WHEN n.oid IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
			THEN 'CREATE on the database'
		WHEN n.oid IS NOT NULL AND NOT has_schema_privilege(n.oid, 'USAGE') THEN 'USAGE on schema graphrelay'
		WHEN n.oid IS NOT NULL AND t.oid IS NULL AND NOT has_schema_privilege(n.oid, 'CREATE')
			THEN 'CREATE on schema graphrelay'
		WHEN NOT (has_table_privilege(t.oid, 'SELECT') AND has_table_privilege(t.oid, 'INSERT') AND
			has_table_privilege(t.oid, 'UPDATE') AND has_table_privilege(t.oid, 'DELETE'))
			THEN 'SELECT, INSERT, UPDATE, DELETE on table graphrelay.' || t.relname END
		FROM (SELECT CAST(? AS text) AS name) AS wanted LEFT JOIN pg_namespace n ON n.nspname = wanted.name
		LEFT JOIN pg_class t ON t.relnamespace = n.oid AND t.relkind = 'r' ORDER BY 1 LIMIT 1`,
		[]any{link.Schema}, func(r *db.Row) error {
			lacks = r.Str()
			return r.Err
		})
	if err == nil && lacks != "" {
		cause := link.LacksRights
		cause.Detail = "it lacks " + lacks
		err = cause
	}
	return err
}

func markOf(sandbox bool) string {
	if sandbox {
		return "sandbox"
	}
	return "real"
}
