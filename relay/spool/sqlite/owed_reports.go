package sqlite

import (
	"context"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// The column report: whether a message owes a report of its failure.
const (
	reportNone = int64(iota)
	reportOwed
	reportDone // for good: a message is reported once, however often it fails
)

// reportAfter is the column for a message that enters a state.
func reportAfter(was, to int64) int64 {
	switch {
	case was == reportDone:
		return reportDone
	case to == codeFailed || to == codeBounced:
		return reportOwed
	}
	return reportNone
}

// Owed implements Store.
func (v *view) Owed(ctx context.Context, limit int) ([]spool.Record, error) {
	var found []stored
	err := v.readers.With(ctx, func(c *db.Conn) (err error) {
		found, err = readRecords(c, "SELECT "+recordColumns+" FROM message INDEXED BY owed WHERE report = 1 ORDER BY finished, id LIMIT 0+?",
			int64(min(max(limit, 1), spool.MaxPage)))
		return err
	})
	return records(found), err
}

// SentRecipients implements Store. It reads each message that was sent since,
// so it is for the start of a service.
func (v *view) SentRecipients(ctx context.Context, since, until time.Time) ([]spool.Usage, error) {
	var list []spool.Usage
	err := v.readers.With(ctx, func(c *db.Conn) error {
		const hour = int64(time.Hour)
		return c.Query(`SELECT lane, finished / ?, sum(1 + length(recipients) - length(replace(recipients, char(10), '')))
			FROM message INDEXED BY done WHERE finished > 0 AND state = 5 AND body_gone = 1 AND finished >= ? AND finished < ? GROUP BY 1, 2`,
			[]any{hour, nanos(since), nanos(until)}, func(r *db.Row) error {
				mailbox, err := addressOf(r.Str())
				list = append(list, spool.Usage{Mailbox: mailbox, Hour: timeOf(r.Int() * hour), Recipients: int(r.Int())})
				return err
			})
	})
	return list, err
}

// Reported implements Store.
func (s *Store) Reported(ctx context.Context, id envelope.QueueID) error {
	return s.small(ctx, true, func(t *tx) error {
		_, err := t.Exec("UPDATE message SET report = 2, events = events + 1 WHERE id = ? AND report = 1", string(id))
		return err
	})
}

// settleReport is the part of a report's commit that concerns the message it is about.
func settleReport(c *db.Conn, m *spool.Message) error {
	if m.ReportOf == "" {
		return nil
	}
	sql := "UPDATE message SET report = 2, events = events + 1 WHERE id = ? AND report = 1"
	if m.ReportDelay {
		sql = "UPDATE message SET warned = 1, events = events + 1 WHERE id = ? AND warned = 0 AND state < 3"
	}
	changed, err := c.Exec(sql, string(m.ReportOf))
	if err == nil && changed == 0 {
		err = spool.NoReportOwed(m.ReportOf)
	}
	return err
}

// oweAgain takes back what the commit of message n did to the one that it
// reports, for n is not kept. One that was queued again meanwhile owes nothing.
func oweAgain(c *db.Conn, n int64) error {
	_, err := c.Exec(`UPDATE message SET report = CASE WHEN state IN (?, ?) THEN 1 ELSE 0 END WHERE report = 2
		AND id = (SELECT report_of FROM message WHERE n = ? AND report_delay = 0)`, codeFailed, codeBounced, n)
	if err != nil {
		return err
	}
	_, err = c.Exec(`UPDATE message SET warned = 0 WHERE warned = 1
		AND id = (SELECT report_of FROM message WHERE n = ? AND report_delay = 1)`, n)
	return err
}
