package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
)

// recordColumns are the columns of a Record in the order in which readRecord
// reads them, after the message's number and its count of events.
const recordColumns = `n, events, id, state, mailbox, sender, reverse_path, recipients, utf8,
	client, client_addr, helo, login, sender_fixed, report_of, report_delay, message_id, subject,
	header_size, size, accepted, attempts, crashes, unknown, next, last, held_for, held_since,
	status, text, request, finished, body_gone, report, warned, unreported, local_user, turn,
	automatic, bounces, bounces_reported, report_bounces, implied`

// stored is a Record with what only the store needs.
type stored struct {
	spool.Record
	n, events, turn, implied int64
}

func readRecord(r *db.Row) (stored, error) {
	s := stored{n: r.Int(), events: r.Int()}
	s.ID, s.State = envelope.QueueID(r.Str()), readStateCode(r)
	s.Mailbox, s.From = readAddress(r), readAddress(r)
	s.Envelope.ReversePath, s.Envelope.Recipients, s.Envelope.UTF8 = readAddress(r), readAddresses(r), r.Bool()
	s.Client.Name, s.Client.Addr = r.Str(), readAddrPort(r)
	s.Client.Helo, s.Client.Login = r.Str(), r.Str()
	s.ConfiguredFrom, s.ReportOf, s.ReportDelay = r.Bool(), envelope.QueueID(r.Str()), r.Bool()
	s.MessageID, s.Subject = r.Str(), r.Str()
	s.HeaderSize, s.Size, s.Accepted = r.Int(), r.Int(), timeOf(r.Int())
	s.Attempts, s.Crashes, s.Unknown = int(r.Int()), int(r.Int()), r.Bool()
	s.NextAttempt, s.LastAttempt = timeOf(r.Int()), timeOf(r.Int())
	s.HeldFor, s.HeldSince = time.Duration(r.Int()), timeOf(r.Int())
	s.LastStatus, s.LastText, s.LastRequest = statusOf(r.Int()), r.Str(), r.Str()
	s.FinishedAt, s.BodyGone = timeOf(r.Int()), r.Bool()
	s.ReportOwed, s.DelayWarned = r.Int() == reportOwed, r.Bool()
	s.Envelope.Unreported, s.Client.User, s.turn = readAddresses(r), r.Str(), r.Int()
	s.Automatic, s.Bounces, s.BouncesReported, s.ReportBounces = r.Bool(), int(r.Int()), int(r.Int()), int(r.Int())
	s.implied = r.Int()
	return s, r.Err
}

func readRecords(c *db.Conn, sql string, args ...any) ([]stored, error) {
	return allOf(c, sql, args, readRecord)
}

// allOf reads rows of which columns may be missing; see withColumns.
func allOf[T any](c *db.Conn, sql string, args []any, read func(*db.Row) (T, error)) (found []T, err error) {
	err = withColumns(sql, func(sql string) error {
		found, err = db.All(c, sql, args, read)
		return err
	})
	return found, err
}

// withColumns runs a query; columns that a store lacks are NULL. Only an older program
// has opened it for writing then; see migrate.
func withColumns(sql string, query func(sql string) error) error {
	for {
		err := query(sql)
		if err == nil {
			return nil
		}
		_, missing, _ := strings.Cut(err.Error(), "no such column: ")
		missing, _, _ = strings.Cut(missing, " ")
		if missing == "" || !strings.Contains(sql, missing) {
			return err
		}
		sql = strings.ReplaceAll(sql, missing, "NULL")
	}
}

// insertMessage stores m as Queued and due at once or, where its first attempt begins
// at a time, as Sending.
func insertMessage(t *Tx, n int64, m *spool.Message, attempt time.Time) (state int64, err error) {
	attempts, next := int64(0), m.Accepted
	if !attempt.IsZero() {
		state, attempts, next = codeSending, 1, time.Time{}
	}
	err = t.Run(`INSERT INTO message (n, id, state, lane, mailbox, sender, sender_hash, reverse_path,
		recipients, utf8, client, client_addr, helo, login, sender_fixed, report_of, report_delay, message_id,
		subject, header_size, size, accepted, next, unreported, local_user, turn, automatic,
		report_bounces, attempts, last, events, implied)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		n, string(m.ID), state, m.Mailbox.Key(), m.Mailbox.String(), m.From.String(), senderHash(m.From),
		m.Envelope.ReversePath.String(), joinLines(m.Envelope.Recipients, envelope.Address.String), m.Envelope.UTF8,
		m.Client.Name, addrPort(m.Client.Addr), m.Client.Helo, m.Client.Login,
		m.ConfiguredFrom, string(m.ReportOf), m.ReportDelay, m.MessageID, m.Subject,
		m.HeaderSize, m.Size, nanos(m.Accepted), nanos(next),
		joinLines(m.Envelope.Unreported, envelope.Address.String), m.Client.User, turnCode(m.Turn()),
		m.Automatic, int64(m.ReportBounces), attempts, nanos(attempt), attempts, attempts)
	if err == nil && n <= t.watermark {
		err = insertWords(t.Conn, n, m)
	}
	return state, err
}

// brief is what a change of state needs to know.
type brief struct {
	n                  int64
	id                 envelope.QueueID
	state              int64
	lane               string
	attempts, settled  int64
	size               int64
	accepted           int64
	heldFor, heldSince int64
	events, implied    int64
	bodyGone           bool
	report             int64
	turn               int64
	client             string // of the turn
}

// storedSize is how many bytes of the message are stored.
func (b brief) storedSize() int64 {
	if b.bodyGone {
		return 0
	}
	return b.size
}

const briefColumns = "n, id, state, lane, attempts, settled, size, accepted, held_for, held_since, " +
	"events, implied, body_gone, report, turn, " + turnColumns

func readBrief(r *db.Row) (brief, error) {
	return brief{
		n: r.Int(), id: envelope.QueueID(r.Str()), state: r.Int(), lane: r.Str(),
		attempts: r.Int(), settled: r.Int(), size: r.Int(), accepted: r.Int(),
		heldFor: r.Int(), heldSince: r.Int(), events: r.Int(), implied: r.Int(), bodyGone: r.Bool(), report: r.Int(),
		turn: r.Int(), client: readTurn(r).Client,
	}, r.Err
}

// find reads the brief of a message, or returns ErrNotFound.
func find(c *db.Conn, id envelope.QueueID) (brief, error) { return findBy(c, "id = ?", string(id), id) }

func findBy(c *db.Conn, where string, key any, id envelope.QueueID) (brief, error) {
	found, err := allOf(c, "SELECT "+briefColumns+" FROM message WHERE "+where, []any{key}, readBrief)
	switch {
	case err != nil:
		return brief{}, err
	case len(found) == 0:
		return brief{}, spool.NotFound(id)
	}
	return found[0], nil
}

// insertEvent stores a row of history. seq numbers the events of a message; there may
// be gaps. Acceptance is not stored as an event: the message's own row has its time.
func insertEvent(c *db.Conn, n, seq int64, e *spool.Event) error {
	return c.Run("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		n, seq, nanos(e.At), string(e.Kind), int64(e.Attempt), statusCode(e.Status), spool.CutText(e.Text),
		spool.CutText(e.RequestID), int64(e.HTTPStatus), int64(e.Duration), e.Unknown,
		e.Recipient.String(), spool.CutText(e.Remote), e.Origin.String(), e.Probable)
}

const eventColumns = "at, kind, attempt, status, text, request, http, duration, unknown, " +
	"recipient, remote, origin, probable"

func readEvent(r *db.Row) (spool.Event, error) {
	return spool.Event{
		At: timeOf(r.Int()), Kind: spool.EventKind(r.Str()), Attempt: int(r.Int()), Status: statusOf(r.Int()),
		Text: r.Str(), RequestID: r.Str(), HTTPStatus: int(r.Int()), Duration: time.Duration(r.Int()),
		Unknown: r.Bool(), Recipient: readAddress(r), Remote: r.Str(), Origin: readAddress(r), Probable: r.Bool(),
	}, r.Err
}

// The states as they are stored. The indexes of the schema name some of them.
// 6 was Bounced in stores of version 1.
const (
	codeQueued  = int64(0)
	codeSending = int64(1)
	codeHeld    = int64(2)
	codeFailed  = int64(3)
	codeDamaged = int64(4)
	codeSent    = int64(5)
	codeBounced = int64(6)
	codeDeleted = int64(7)
)

var stateNames = [...]spool.State{
	spool.Queued, spool.Sending, spool.Held, spool.Failed, spool.Damaged, spool.Sent, spool.Failed, spool.Deleted,
}

func stateCode(s spool.State) int64 { return int64(slices.Index(stateNames[:], s.Stored())) }

// stateName is the state of a code; "" where the row is damaged.
func stateName(code int64) spool.State {
	if code >= 0 && code < int64(len(stateNames)) {
		return stateNames[code]
	}
	return ""
}

func readStateCode(r *db.Row) spool.State {
	code := r.Int()
	name := stateName(code)
	if name == "" {
		r.Fail(fmt.Errorf("%w: state %d", spool.ErrDamaged, code))
	}
	return name
}

// inQueue returns whether a state counts against queue.max_messages.
func inQueue(code int64) bool { return code <= codeHeld || code == codeDeferred }

// hasBody returns whether a state keeps the stored bytes.
func hasBody(code int64) bool { return code <= codeDamaged || code == codeDeferred }

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func statusCode(e reply.Enhanced) int64 {
	return int64(e[0])*1_000_000 + int64(e[1])*1_000 + int64(e[2])
}

func statusOf(n int64) reply.Enhanced {
	return reply.Enhanced{int(n / 1_000_000), int(n / 1_000 % 1_000), int(n % 1_000)}
}

// addressOf reads an address as it is stored; "" is none.
func addressOf(s string) (envelope.Address, error) {
	if s == "" {
		return envelope.Address{}, nil
	}
	a, err := envelope.ParseRecipient(s)
	if err != nil {
		return a, fmt.Errorf("%w: %w", spool.ErrDamaged, err)
	}
	return a, nil
}

func readAddress(r *db.Row) envelope.Address {
	a, err := addressOf(r.Str())
	r.Fail(err)
	return a
}

// readAddresses reads what joinLines wrote.
func readAddresses(r *db.Row) (list []envelope.Address) {
	s := r.Str()
	if s == "" {
		return nil
	}
	for line := range strings.SplitSeq(s, "\n") {
		a, err := addressOf(line)
		r.Fail(err)
		list = append(list, a)
	}
	return list
}

// joinLines writes one address a line; none of them can hold a line break.
func joinLines(list []envelope.Address, write func(envelope.Address) string) string {
	lines := make([]string, len(list))
	for i, a := range list {
		lines[i] = write(a)
	}
	return strings.Join(lines, "\n")
}

func addrPort(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func readAddrPort(r *db.Row) netip.AddrPort {
	s := r.Str()
	if s == "" {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		r.Fail(fmt.Errorf("%w: %w", spool.ErrDamaged, err))
	}
	return a
}

// senderHash is a From in the index due.
func senderHash(a envelope.Address) int64 { return hash(a.Key()) }

// turnCode is a turn in the index due.
func turnCode(t spool.Turn) int64 { return hash(t.Client + "\x00" + t.Member) }

// hash is a text in an index: short, and with 63 bits of SHA-256 no other one can
// have the same by chance or by design.
func hash(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// turnColumns are what Turn looks at.
const turnColumns = "report_of, client, client_addr, helo, local_user"

func readTurn(r *db.Row) spool.Turn {
	m := spool.Message{ReportOf: envelope.QueueID(r.Str())}
	m.Client = envelope.Client{Name: r.Str(), Addr: readAddrPort(r), Helo: r.Str(), User: r.Str()}
	return m.Turn()
}

// FillTurns finds out whose each message is that may still be attempted, for a store of a
// program that did not write it down.
func FillTurns(c *db.Conn) error {
	type row struct{ n, turn int64 }
	rows, err := db.All(c, "SELECT n, "+turnColumns+" FROM message WHERE state < 5", nil, func(r *db.Row) (row, error) {
		return row{r.Int(), turnCode(readTurn(r))}, r.Err
	})
	for _, r := range rows {
		if err == nil {
			err = c.Run("UPDATE message SET turn = ? WHERE n = ?", r.turn, r.n)
		}
	}
	return err
}
