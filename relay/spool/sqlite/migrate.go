package sqlite

import (
	"fmt"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/tables"
)

// migrate brings a store that an older program made up to date. Version 1 may lack
// the column unreported and the table refusal, had a state Bounced, and an event
// "unknown", which is now a mark. Version 2 knew no
// turns, version 3 no bounces, and version 4 wrote the words and all events of each message at once.
func migrate(c *db.Conn) error {
	if err := c.Run(refusalSchema); err != nil {
		return err
	}
	version, err := c.Number("PRAGMA user_version")
	if err != nil || version == schemaVersion {
		return err
	}
	return c.Transaction(func() error {
		if version < 2 {
			if err := renameWords(c); err != nil {
				return err
			}
		}
		if version < 3 {
			if err := addTurns(c); err != nil {
				return err
			}
		}
		if version < 4 {
			if err := runAll(c, bounceColumns); err != nil {
				return err
			}
		}
		if err := runAll(c, batchColumns); err != nil {
			return err
		}
		return c.Run(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	})
}

func renameWords(c *db.Conn) error {
	there, err := c.Number("SELECT count(*) FROM pragma_table_info('message') WHERE name = 'unreported'")
	if err != nil {
		return err
	}
	steps := []string{
		"ALTER TABLE event ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0",
		fmt.Sprintf("UPDATE event SET kind = '%s', unknown = 1 WHERE kind = 'unknown'", spool.EventDeferred),
		fmt.Sprintf("UPDATE event SET kind = '%s' WHERE kind = 'bounced'", spool.EventFailed),
		"UPDATE message SET state = 3 WHERE state = 6", // Failed and Bounced
	}
	if there == 0 {
		steps = append(steps, "ALTER TABLE message ADD COLUMN unreported TEXT NOT NULL DEFAULT ''")
	}
	return runAll(c, steps)
}

// addTurns finds out whose each message is that may still be attempted.
func addTurns(c *db.Conn) error {
	err := runAll(c, []string{
		"ALTER TABLE message ADD COLUMN local_user TEXT NOT NULL DEFAULT ''",
		"ALTER TABLE message ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
		"DROP INDEX due",
	})
	if err != nil {
		return err
	}
	if err = tables.FillTurns(c); err != nil {
		return err
	}
	return c.Run(dueIndex)
}

// bounceColumns add what is known of a message after it was sent.
var bounceColumns = []string{
	"ALTER TABLE message ADD COLUMN automatic INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE message ADD COLUMN bounces INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE message ADD COLUMN bounces_reported INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE message ADD COLUMN report_bounces INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE event ADD COLUMN recipient TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE event ADD COLUMN remote TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE event ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE event ADD COLUMN probable INTEGER NOT NULL DEFAULT 0",
	bouncedIndex,
}

// batchColumns add what saves writing: the words of many messages at once, and events
// that the message's row stands for. What is there has all its words and events.
var batchColumns = []string{
	"INSERT INTO meta SELECT 'words', coalesce(max(n), 0) FROM message",
	"ALTER TABLE message ADD COLUMN implied INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE message ADD COLUMN http INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE message ADD COLUMN duration INTEGER NOT NULL DEFAULT 0",
}

func runAll(c *db.Conn, steps []string) error {
	for _, s := range steps {
		if err := c.Run(s); err != nil {
			return err
		}
	}
	return nil
}
