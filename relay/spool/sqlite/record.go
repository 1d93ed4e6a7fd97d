package sqlite

import (
	"errors"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite/db"
)

// recordColumns are those of a Record in the order in which readRecord takes
// them, behind the message's number and its count of events.
const recordColumns = `n, events, id, state, mailbox, sender, reverse_path, recipients, utf8,
	client, client_addr, helo, login, sender_fixed, report_of, report_delay, message_id, subject, header_size, size, accepted,
	attempts, crashes, unknown, next, last, held_for, held_since, status, text, request, finished, body_gone, report, warned`

// stored is a Record with what only the store needs to know of it.
type stored struct {
	spool.Record
	n      int64
	events int64
}

func readRecord(r *db.Row) (stored, error) {
	s := stored{n: r.Int(), events: r.Int()}
	s.ID = envelope.QueueID(r.Str())
	state := r.Int()
	addresses := [...]string{r.Str(), r.Str(), r.Str(), r.Str()}
	s.Envelope.UTF8 = r.Bool()
	s.Client.Name = r.Str()
	addr := r.Str()
	s.Client.Helo, s.Client.Login = r.Str(), r.Str()
	s.ConfiguredFrom, s.ReportOf, s.ReportDelay = r.Bool(), envelope.QueueID(r.Str()), r.Bool()
	s.MessageID, s.Subject = r.Str(), r.Str()
	s.HeaderSize, s.Size, s.Accepted = r.Int(), r.Int(), timeOf(r.Int())
	readState(r, &s.Record)

	var errs [6]error
	s.State, errs[0] = stateOf(state)
	s.Mailbox, errs[1] = addressOf(addresses[0])
	s.From, errs[2] = addressOf(addresses[1])
	s.Envelope.ReversePath, errs[3] = addressOf(addresses[2])
	s.Envelope.Recipients, errs[4] = splitAddresses(addresses[3])
	s.Client.Addr, errs[5] = addrPortOf(addr)
	return s, errors.Join(append(errs[:], r.Err)...)
}

func readState(r *db.Row, s *spool.Record) {
	s.Attempts, s.Crashes, s.Unknown = int(r.Int()), int(r.Int()), r.Bool()
	s.NextAttempt, s.LastAttempt = timeOf(r.Int()), timeOf(r.Int())
	s.HeldFor, s.HeldSince = durationOf(r.Int()), timeOf(r.Int())
	s.LastStatus, s.LastText, s.LastRequest = statusOf(r.Int()), r.Str(), r.Str()
	s.FinishedAt, s.BodyGone = timeOf(r.Int()), r.Bool()
	s.ReportOwed, s.DelayWarned = r.Int() == reportOwed, r.Bool()
}

func readRecords(c *db.Conn, sql string, args ...any) ([]stored, error) {
	var list []stored
	err := c.Query(sql, args, func(r *db.Row) error {
		s, err := readRecord(r)
		if err == nil {
			list = append(list, s)
		}
		return err
	})
	return list, err
}

// insertMessage stores m as Queued and due at once.
func insertMessage(c *db.Conn, n int64, m *spool.Message) error {
	_, err := c.Exec(`INSERT INTO message (n, id, state, lane, mailbox, sender, sender_hash, reverse_path, recipients, utf8,
		client, client_addr, helo, login, sender_fixed, report_of, report_delay, message_id, subject, header_size, size, accepted, next)
		VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n, string(m.ID), m.Mailbox.Key(), m.Mailbox.String(), m.From.String(), senderHash(m.From),
		m.Envelope.ReversePath.String(), joinAddresses(m.Envelope.Recipients), m.Envelope.UTF8,
		m.Client.Name, addrPort(m.Client.Addr), m.Client.Helo, m.Client.Login,
		m.ConfiguredFrom, string(m.ReportOf), m.ReportDelay, m.MessageID, m.Subject,
		m.HeaderSize, m.Size, nanos(m.Accepted), nanos(m.Accepted))
	if err != nil {
		return err
	}
	return insertWords(c, n, m)
}

// brief is what a change of state needs to know.
type brief struct {
	n                        int64
	id                       envelope.QueueID
	state                    int64
	lane                     string
	attempts, settled        int64
	size                     int64
	accepted                 int64
	heldFor, heldSince, next int64
	events                   int64
	bodyGone                 bool
	report                   int64
}

// octets is how much of the message is stored.
func (b brief) octets() int64 {
	if b.bodyGone {
		return 0
	}
	return b.size
}

// stateName is the state in the words of the contract; "" where the row is damaged.
func (b brief) stateName() spool.State {
	name, _ := stateOf(b.state)
	return name
}

const briefColumns = `n, id, state, lane, attempts, settled, size, accepted, held_for, held_since, next, events, body_gone, report`

func readBrief(r *db.Row) brief {
	return brief{
		n: r.Int(), id: envelope.QueueID(r.Str()), state: r.Int(), lane: r.Str(),
		attempts: r.Int(), settled: r.Int(), size: r.Int(), accepted: r.Int(),
		heldFor: r.Int(), heldSince: r.Int(), next: r.Int(), events: r.Int(), bodyGone: r.Bool(),
		report: r.Int(),
	}
}

// find reads the brief of a message: ErrNotFound.
func find(c *db.Conn, id envelope.QueueID) (brief, error) {
	return findBy(c, "id = ?", string(id), id)
}

func findBy(c *db.Conn, where string, key any, id envelope.QueueID) (brief, error) {
	var b brief
	err := c.Query("SELECT "+briefColumns+" FROM message WHERE "+where, []any{key}, func(r *db.Row) error {
		b = readBrief(r)
		return nil
	})
	if err == nil && b.n == 0 {
		err = spool.NotFound(id)
	}
	return b, err
}

func durationOf(n int64) time.Duration { return time.Duration(n) }

// insertEvent stores a row of history. seq numbers the events of a message;
// there may be gaps. That a message was accepted is not stored as an event:
// its own row says it.
func insertEvent(c *db.Conn, n, seq int64, e *spool.Event) error {
	_, err := c.Exec("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		n, seq, nanos(e.At), string(e.Kind), int64(e.Attempt), statusCode(e.Status), spool.CutText(e.Text),
		spool.CutText(e.RequestID), int64(e.HTTPStatus), int64(e.Duration))
	return err
}

func readEvent(r *db.Row, id envelope.QueueID) spool.Event {
	return spool.Event{
		ID: id, At: timeOf(r.Int()), Kind: spool.EventKind(r.Str()), Attempt: int(r.Int()), Status: statusOf(r.Int()),
		Text: r.Str(), RequestID: r.Str(), HTTPStatus: int(r.Int()), Duration: durationOf(r.Int()),
	}
}
