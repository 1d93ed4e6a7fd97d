package tables

import (
	"context"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// Values of the column report: whether a message owes a report of its failure.
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
	case to == codeFailed:
		return reportOwed
	}
	return reportNone
}

// Owed implements spool.Reports.
func (v *Reader) Owed(ctx context.Context, limit int) ([]spool.Record, error) {
	found, err := db.Read(ctx, v.Readers, func(c *db.Conn) ([]stored, error) {
		return readRecords(c, "SELECT "+recordColumns+` FROM message INDEXED BY owed
			WHERE report = 1 ORDER BY finished, id LIMIT 0+?`, int64(min(max(limit, 1), spool.MaxPage)))
	})
	return records(found), err
}

// SentRecipients implements spool.Lanes. It reads every message that was sent in
// that time, so it is for the start of a service.
func (v *Reader) SentRecipients(ctx context.Context, since, until time.Time) ([]spool.Usage, error) {
	const hour = int64(time.Hour)
	return db.Read(ctx, v.Readers, func(c *db.Conn) ([]spool.Usage, error) {
		return db.All(c, `SELECT lane, finished / ?,
				CAST(sum(1 + length(recipients) - length(replace(recipients, ?, ''))) AS BIGINT)
			FROM message INDEXED BY done
			WHERE finished > 0 AND state = 5 AND body_gone = 1 AND finished >= ? AND finished < ? GROUP BY 1, 2`,
			[]any{hour, "\n", nanos(since), nanos(until)}, func(r *db.Row) (spool.Usage, error) {
				return spool.Usage{Mailbox: readAddress(r), Hour: timeOf(r.Int() * hour), Recipients: int(r.Int())}, nil
			})
	})
}

// reportable counts the bounces of a Sent message that are reported some day.
const reportable = `(SELECT count(*) FROM event
	WHERE event.n = message.n AND kind = 'bounced' AND probable = 0 AND message.state = 5)`

// Reported implements spool.Reports.
func (s *Store) Reported(ctx context.Context, id envelope.QueueID) error {
	return s.Change(ctx, true, func(t *Tx) error {
		return t.Run("UPDATE message SET report = 2, events = events + 1, bounces_reported = "+reportable+
			" WHERE id = ? AND report = 1", string(id))
	})
}

// settleReport is the part of a report's commit that concerns the message it is about.
func settleReport(c *db.Conn, m *spool.Message) error {
	if m.ReportOf == "" {
		return nil
	}
	sql, args := `UPDATE message SET events = events + 1, bounces_reported = bounces_reported + ?,
		report = CASE WHEN bounces_reported + ? < `+reportable+` THEN 1 ELSE 2 END WHERE id = ? AND report = 1`,
		[]any{int64(m.ReportBounces), int64(m.ReportBounces), string(m.ReportOf)}
	if m.ReportDelay {
		sql = "UPDATE message SET warned = 1, events = events + 1 WHERE id = ? AND warned = 0 AND state < 3"
		args = args[2:]
	}
	changed, err := c.Exec(sql, args...)
	if err == nil && changed == 0 {
		err = spool.NoReportOwed(m.ReportOf)
	}
	return err
}

// oweAgain undoes what the commit of message n did to the message that it reports,
// as n is not kept. A message that was queued again meanwhile owes nothing.
func oweAgain(c *db.Conn, n int64) error {
	err := c.Run(`UPDATE message SET report = 1,
		bounces_reported = message.bounces_reported - made.report_bounces
		FROM message AS made WHERE made.n = ? AND made.report_bounces > 0 AND message.id = made.report_of`, n)
	if err != nil {
		return err
	}
	err = c.Run(`UPDATE message SET report = CASE WHEN state = ? THEN 1 ELSE 0 END WHERE report = 2
		AND id = (SELECT report_of FROM message WHERE n = ? AND report_delay = 0 AND report_bounces = 0)`,
		codeFailed, n)
	if err != nil {
		return err
	}
	return c.Run(`UPDATE message SET warned = 0 WHERE warned = 1
		AND id = (SELECT report_of FROM message WHERE n = ? AND report_delay = 1)`, n)
}
