package postgres

import (
	"fmt"
	"strconv"

	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/postgres/link"
	"graphrelay/relay/text"
)

const oldestServer = 130000

// found is what a start looks at.
type found struct {
	version              string
	commits              string // synchronous_commit
	fsync, pages, coding string
	standbys             string // synchronous_standby_names
	waits                string // lock_timeout, which the connection asks for
	reads                int64
	number               int64
}

func askServer(c *db.Conn) (s found, err error) {
	setting := func(name string) string { return "current_setting('" + name + "')" }
	err = c.Query("SELECT "+setting("server_version")+", "+setting("synchronous_commit")+", "+setting("fsync")+", "+
		setting("full_page_writes")+", "+setting("server_encoding")+", "+setting("synchronous_standby_names")+", "+
		setting("lock_timeout")+", CASE WHEN pg_is_in_recovery() OR "+setting("transaction_read_only")+
		" = 'on' THEN 1 ELSE 0 END, CAST("+setting("server_version_num")+" AS bigint)", nil, func(r *db.Row) error {
		s = found{version: r.Str(), commits: r.Str(), fsync: r.Str(), pages: r.Str(), coding: r.Str(),
			standbys: r.Str(), waits: r.Str(), reads: r.Int(), number: r.Int()}
		return r.Err
	})
	return s, err
}

// refuse returns why a server cannot keep mail safe; nil if it can. It is pure.
func (s found) refuse() error {
	for _, c := range []struct {
		wrong bool
		text.Cause
	}{
		{s.waits != link.LockTimeout, link.Pooler},
		{s.number < oldestServer, text.Cause{Headline: "PostgreSQL " + s.version + " is too old",
			Remedy: "install PostgreSQL 13 or later"}},
		{s.fsync != "on", text.Cause{Headline: "PostgreSQL runs with fsync = off: a power cut loses the database",
			Remedy: "set fsync = on in postgresql.conf and restart it"}},
		{s.pages != "on", text.Cause{
			Headline: "PostgreSQL runs with full_page_writes = off: a power cut damages the database",
			Remedy:   "set full_page_writes = on in postgresql.conf and reload it"}},
		{s.coding != "UTF8", text.Cause{Headline: "Database of the queue has the encoding " + strconv.Quote(s.coding) +
			" instead of UTF8", Remedy: "create another: createdb -T template0 -E UTF8"}},
		{s.reads != 0, text.Cause{Headline: "PostgreSQL only reads: it is a standby, or set to read-only",
			Remedy: "name the primary in the URL, or every host of the cluster"}},
	} {
		if c.wrong {
			return c.Cause
		}
	}
	return nil
}

// level is the synchronous_commit of mail: at least on.
func (s found) level() string {
	if s.commits == "remote_apply" {
		return s.commits
	}
	return "on"
}

// Unprotected is what every start and every status says where no standby has each commit.
const Unprotected = "PostgreSQL has no synchronous standby: a failover can lose accepted mail; " +
	"set synchronous_standby_names in its configuration"

// describe is the server in a line, for people.
func (s found) describe() string {
	standby := "without a synchronous standby"
	if s.standbys != "" {
		standby = "with a synchronous standby (" + s.standbys + ")"
	}
	return fmt.Sprintf("PostgreSQL %s %s", s.version, standby)
}
