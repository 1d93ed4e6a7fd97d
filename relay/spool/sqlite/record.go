package sqlite

import (
	"errors"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
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

func readRecord(r *row) (stored, error) {
	s := stored{n: r.int(), events: r.int()}
	s.ID = envelope.QueueID(r.str())
	state := r.int()
	addresses := [...]string{r.str(), r.str(), r.str(), r.str()}
	s.Envelope.UTF8 = r.bool()
	s.Client.Name = r.str()
	addr := r.str()
	s.Client.Helo, s.Client.Login = r.str(), r.str()
	s.SenderFixed, s.ReportOf, s.ReportDelay = r.bool(), envelope.QueueID(r.str()), r.bool()
	s.MessageID, s.Subject = r.str(), r.str()
	s.HeaderSize, s.Size, s.Accepted = r.int(), r.int(), timeOf(r.int())
	readState(r, &s.Record)

	var errs [6]error
	s.State, errs[0] = stateOf(state)
	s.Mailbox, errs[1] = addressOf(addresses[0])
	s.From, errs[2] = addressOf(addresses[1])
	s.Envelope.ReversePath, errs[3] = addressOf(addresses[2])
	s.Envelope.Recipients, errs[4] = splitAddresses(addresses[3])
	s.Client.Addr, errs[5] = addrPortOf(addr)
	return s, errors.Join(append(errs[:], r.err)...)
}

func readState(r *row, s *spool.Record) {
	s.Attempts, s.Crashes, s.Unknown = int(r.int()), int(r.int()), r.bool()
	s.NextAttempt, s.LastAttempt = timeOf(r.int()), timeOf(r.int())
	s.HeldFor, s.HeldSince = durationOf(r.int()), timeOf(r.int())
	s.LastStatus, s.LastText, s.LastRequest = statusOf(r.int()), r.str(), r.str()
	s.FinishedAt, s.BodyGone = timeOf(r.int()), r.bool()
	s.ReportOwed, s.DelayWarned = r.int() == reportOwed, r.bool()
}

func readRecords(c *conn, sql string, args ...any) ([]stored, error) {
	var list []stored
	err := c.query(sql, args, func(r *row) error {
		s, err := readRecord(r)
		if err == nil {
			list = append(list, s)
		}
		return err
	})
	return list, err
}

// insertMessage stores m as Queued and due at once.
func insertMessage(c *conn, n int64, m *spool.Message) error {
	_, err := c.exec(`INSERT INTO message (n, id, state, lane, mailbox, sender, sender_hash, reverse_path, recipients, utf8,
		client, client_addr, helo, login, sender_fixed, report_of, report_delay, message_id, subject, header_size, size, accepted, next)
		VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n, string(m.ID), m.Mailbox.Key(), m.Mailbox.String(), m.From.String(), senderHash(m.From),
		m.Envelope.ReversePath.String(), joinAddresses(m.Envelope.Recipients), m.Envelope.UTF8,
		m.Client.Name, addrPort(m.Client.Addr), m.Client.Helo, m.Client.Login,
		m.SenderFixed, string(m.ReportOf), m.ReportDelay, m.MessageID, m.Subject,
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

func readBrief(r *row) brief {
	return brief{
		n: r.int(), id: envelope.QueueID(r.str()), state: r.int(), lane: r.str(),
		attempts: r.int(), settled: r.int(), size: r.int(), accepted: r.int(),
		heldFor: r.int(), heldSince: r.int(), next: r.int(), events: r.int(), bodyGone: r.bool(),
		report: r.int(),
	}
}

// find reads the brief of a message: ErrNotFound.
func find(c *conn, id envelope.QueueID) (brief, error) {
	return findBy(c, "id = ?", string(id), id)
}

func findBy(c *conn, where string, key any, id envelope.QueueID) (brief, error) {
	var b brief
	err := c.query("SELECT "+briefColumns+" FROM message WHERE "+where, []any{key}, func(r *row) error {
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
func insertEvent(c *conn, n, seq int64, e *spool.Event) error {
	_, err := c.exec("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		n, seq, nanos(e.At), string(e.Kind), int64(e.Attempt), statusCode(e.Status), spool.CutText(e.Text),
		spool.CutText(e.RequestID), int64(e.HTTPStatus), int64(e.Duration))
	return err
}

func readEvent(r *row, id envelope.QueueID) spool.Event {
	return spool.Event{
		ID: id, At: timeOf(r.int()), Kind: spool.EventKind(r.str()), Attempt: int(r.int()), Status: statusOf(r.int()),
		Text: r.str(), RequestID: r.str(), HTTPStatus: int(r.int()), Duration: durationOf(r.int()),
	}
}
