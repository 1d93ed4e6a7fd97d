package postgres

import (
	"fmt"
	"time"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/text"
)

// What doctor warns of. A node has so many connections: a writer, the readers and one for its lease.
const (
	connectionsOfNode = readerCount + 2
	manyDead          = 20_000 // rows that vacuum has not removed
)

// examineUpkeep looks for what makes a database slow in the long run, or refuses a node's connections.
func examineUpkeep(c *db.Conn, nodes int) (found []text.Cause, err error) {
	found, err = heldBack(c, time.Hour)
	if err == nil {
		var dead []text.Cause
		dead, err = deadRows(c)
		found = append(found, dead...)
	}
	if err != nil {
		return found, err
	}
	left, err := c.Number(`SELECT CAST(current_setting('max_connections') AS bigint)
		- CAST(current_setting('superuser_reserved_connections') AS bigint)
		- (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
			AND application_name NOT LIKE 'graphrelay%')`)
	if need := int64(nodes+1) * connectionsOfNode; err == nil && left < need {
		found = append(found, text.Cause{Headline: "PostgreSQL has few connections left for graphrelay",
			Remedy: "raise max_connections in postgresql.conf and restart it",
			Detail: fmt.Sprintf("%d, and one more node would make it %d", left, need)})
	}
	return found, err
}

// heldBack finds what keeps deleted rows and old WAL: transactions that have been open for long, and
// replication slots that nobody reads.
func heldBack(c *db.Conn, long time.Duration) ([]text.Cause, error) {
	causes := map[int64]text.Cause{
		0: {Headline: "PostgreSQL cannot remove deleted rows: a transaction has been open for an hour",
			Remedy: "end its connection: SELECT pg_terminate_backend(%s)"},
		1: {Headline: "PostgreSQL cannot remove deleted rows: a prepared transaction is an hour old",
			Remedy: "end it: ROLLBACK PREPARED '%s'"},
		2: {Headline: "PostgreSQL keeps its WAL for a replication slot that is not in use",
			Remedy: "start its standby, or drop it: SELECT pg_drop_replication_slot('%s')"},
	}
	return db.All(c, `SELECT 0, CAST(pid AS text), coalesce(application_name, '') FROM pg_stat_activity
			WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
			AND xact_start < now() - CAST(? AS text)::interval
		UNION ALL SELECT 1, gid, '' FROM pg_prepared_xacts
			WHERE database = current_database() AND prepared < now() - CAST(? AS text)::interval
		UNION ALL SELECT 2, CAST(slot_name AS text), '' FROM pg_replication_slots WHERE NOT active`,
		[]any{long.String(), long.String()}, func(r *db.Row) (text.Cause, error) {
			cause := causes[r.Int()]
			cause.Remedy = fmt.Sprintf(cause.Remedy, text.Foreign(r.Str(), 100))
			cause.Detail = text.Foreign(r.Str(), 100)
			return cause, r.Err
		})
}

// deadRows finds tables of the queue that are mostly rows which vacuum should have removed.
func deadRows(c *db.Conn) ([]text.Cause, error) {
	return db.All(c, `SELECT CAST(relname AS text), n_dead_tup FROM pg_stat_user_tables
		WHERE schemaname = ? AND n_dead_tup > ? AND n_dead_tup > n_live_tup ORDER BY relname`,
		[]any{link.Schema, int64(manyDead)}, func(r *db.Row) (text.Cause, error) {
			table, dead := r.Str(), r.Int()
			return text.Cause{Headline: fmt.Sprintf("Table %s of the queue has %d dead rows", table, dead),
				Remedy: "see that autovacuum is on in postgresql.conf, and run VACUUM graphrelay." + table}, r.Err
		})
}
