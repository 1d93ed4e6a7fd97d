// Package intake takes a mail transaction from the SMTP server to the spool:
// policy says who may send as whom, message makes the header say exactly what
// the envelope says, spool keeps the result. It is the only place that sees
// SMTP and the spool together.
//
// # Promises
//
// Data returns a queue ID only after the spool's commit returned, so that 250
// means durable. Every refusal is a status.Error and one log line, "rejected",
// that names the client and ends with a remedy where there is one. What cannot
// be kept now (a full disk, an unhealthy spool) is refused with 4xx, before the
// body where that can be known.
package intake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
	"graphrelay/relay/status"
)

// Config is what an Intake works with; every field but Notify is required.
type Config struct {
	Policy   *policy.Policy
	Store    spool.Store
	Hostname string // in Received and in Message-ID
	Received ReceivedForm
	Extra    message.ExtraRecipients
	MaxSize  int64                          // octets of the message after every edit (delivery.mime_limit)
	Notify   func(mailbox envelope.Address) // called after each commit; must not block
	Now      func() time.Time
	Log      *slog.Logger
}

// Intake implements smtpd.Handler.
type Intake struct{ Config }

// New returns an Intake.
func New(c Config) *Intake {
	if c.Notify == nil {
		c.Notify = func(envelope.Address) {}
	}
	return &Intake{Config: c}
}

// The replies of this package; policy and message have their own.
var (
	errFull      = status.New(452, status.Enhanced{4, 3, 1}, "Insufficient system storage, try again later")
	errUnhealthy = status.New(451, status.Enhanced{4, 3, 0}, "Mail system not able to store mail, try again later")
	errBadRcpt   = status.New(550, status.Enhanced{5, 1, 2}, "Recipient address needs a domain, as in user@example.org")
	errNoRcpt    = status.New(554, status.Enhanced{5, 5, 1}, "No valid recipients")
	errTooBig    = status.New(552, status.Enhanced{5, 3, 4}, "Message size exceeds the limit of this relay")
)

// Connect implements smtpd.Handler.
func (in *Intake) Connect(_ context.Context, p smtpd.Peer) (smtpd.Session, error) {
	s := &session{in: in, peer: p}
	var err error
	if s.client, err = in.Policy.Client(p.Addr, p.Unix); err != nil {
		return nil, in.reject(err, envelope.Client{Addr: p.Addr}, "connect")
	}
	return s, nil
}

// session is one connection of an allowed client.
type session struct {
	in     *Intake
	peer   smtpd.Peer
	client policy.Client
}

func (s *session) Close() {}

// Mail implements smtpd.Session.
func (s *session) Mail(_ context.Context, from smtpd.MailFrom) (smtpd.Transaction, error) {
	t := &transaction{
		session: s,
		from:    from,
		who:     envelope.Client{Name: s.client.Name, Addr: s.peer.Addr, Helo: from.Helo},
	}
	if err := s.in.Policy.ReversePath(s.client, from.Path); err != nil {
		return nil, s.in.reject(err, t.who, "mail", slog.String("reverse_path", from.Path.String()))
	}
	if err := s.in.Store.Admit(from.Size); err != nil {
		return nil, s.in.reject(storeReply(err), t.who, "mail", slog.Int64("size", from.Size))
	}
	return t, nil
}

// transaction is one message on its way in.
type transaction struct {
	*session
	from       smtpd.MailFrom
	who        envelope.Client
	recipients []envelope.Address
	seen       map[string]bool
}

func (t *transaction) Abort() {}

// Rcpt implements smtpd.Transaction. A repeated recipient is accepted and kept once.
func (t *transaction) Rcpt(_ context.Context, to envelope.Address) error {
	if to.Domain() == "" {
		return t.in.reject(errBadRcpt.Becausef("recipient %q has no domain; let the client use a full address", to), t.who, "rcpt")
	}
	if err := message.CheckRecipient(to); err != nil {
		return t.in.reject(err, t.who, "rcpt")
	}
	if t.seen == nil {
		t.seen = make(map[string]bool)
	}
	if key := to.Key(); !t.seen[key] {
		t.seen[key] = true
		t.recipients = append(t.recipients, to)
	}
	return nil
}

// Data implements smtpd.Transaction.
func (t *transaction) Data(ctx context.Context, r io.Reader) (envelope.QueueID, error) {
	m, err := t.receive(ctx, r)
	if err != nil {
		return "", t.in.reject(err, t.who, "data",
			slog.String("reverse_path", t.from.Path.String()), slog.Int("recipients", len(t.recipients)))
	}
	t.in.Notify(m.Mailbox)
	return m.ID, nil
}

// receive reads, judges, edits and commits; nothing of it stays when it fails.
func (t *transaction) receive(ctx context.Context, r io.Reader) (*spool.Message, error) {
	if len(t.recipients) == 0 {
		return nil, errNoRcpt
	}
	header, body, err := message.Read(r, message.Options{})
	if err != nil {
		return nil, err
	}
	grant, err := t.grant(header)
	if err != nil {
		return nil, err
	}
	m := t.describe(header, grant)
	block, report, err := header.Apply(t.edits(m))
	if err != nil {
		return nil, err
	}
	m.HeaderSize = int64(len(block))
	if m.Size, err = t.store(ctx, m, block, body); err != nil {
		return nil, err
	}
	t.logAccepted(m, report, body.Notes())
	return m, nil
}

func (t *transaction) grant(h *message.Header) (policy.Grant, error) {
	a, err := h.Authors()
	if err != nil {
		return policy.Grant{}, err
	}
	return t.in.Policy.Grant(t.client, policy.Message{
		ReversePath:  t.from.Path,
		From:         a.From,
		Sender:       a.Sender,
		ResentFrom:   a.ResentFrom,
		ResentSender: a.ResentSender,
	})
}

func (t *transaction) describe(h *message.Header, g policy.Grant) *spool.Message {
	now := t.in.Now()
	m := &spool.Message{
		ID:        envelope.NewQueueID(now),
		Envelope:  envelope.Envelope{ReversePath: t.from.Path, Recipients: t.recipients, UTF8: t.from.UTF8},
		Client:    t.who,
		Mailbox:   g.Mailbox,
		From:      g.From,
		MessageID: h.MessageID(),
		Subject:   cut(h.Subject(), 200),
		Accepted:  now,
	}
	if m.MessageID == "" {
		m.MessageID = "<" + string(m.ID) + "@" + t.in.Hostname + ">"
	}
	return m
}

func (t *transaction) edits(m *spool.Message) message.Edits {
	return message.Edits{
		Received:   t.in.Received.field(t.in.Hostname, t.from, m),
		Recipients: t.recipients,
		Extra:      t.in.Extra,
		Date:       m.Accepted,
		MessageID:  m.MessageID,
	}
}

// store writes the message into a draft and commits it. A commit is not
// cancelled half-way: the client may be gone, the answer must still be true.
func (t *transaction) store(ctx context.Context, m *spool.Message, block []byte, body io.Reader) (int64, error) {
	draft, err := t.in.Store.Begin(ctx, t.from.Size)
	if err != nil {
		return 0, storeReply(err)
	}
	defer draft.Abort()
	size := int64(len(block))
	if _, err := draft.Write(block); err != nil {
		return 0, storeReply(err)
	}
	n, err := io.Copy(draftWriter{draft}, io.LimitReader(body, t.in.MaxSize-size+1))
	if err != nil {
		return 0, err
	}
	if size += n; size > t.in.MaxSize {
		return 0, errTooBig.Becausef("with the added header fields the message has more than delivery.mime_limit (%d octets); raise mime_limit or lower smtp.max_message_size", t.in.MaxSize)
	}
	if err := draft.Commit(context.WithoutCancel(ctx), *m); err != nil {
		return 0, storeReply(err)
	}
	return size, nil
}

// draftWriter gives a write error of the spool its reply, so that io.Copy's
// error tells a full disk from a broken connection.
type draftWriter struct{ spool.Draft }

func (w draftWriter) Write(p []byte) (int, error) {
	n, err := w.Draft.Write(p)
	return n, storeReply(err)
}

// storeReply turns an error of the spool into its reply.
func storeReply(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, spool.ErrFull):
		return errFull.Becausef("%w; free space on the disk of queue.store, or raise queue.max_messages", err)
	default:
		return errUnhealthy.Becausef("%w; `graphrelay status` tells the state of the spool", err)
	}
}

// reject logs a refusal and returns it. A connection that died needs no reply
// and is logged at debug level only: it is everyday life of a port.
func (in *Intake) reject(err error, who envelope.Client, at string, attrs ...slog.Attr) error {
	level := slog.LevelWarn
	e := status.Of(err)
	if !isReply(err) && e.Cause != nil && isConnectionEnd(e.Cause) {
		level = slog.LevelDebug
	}
	attrs = append(attrs, slog.String("client", who.Name), slog.String("client_addr", who.String()),
		slog.String("at", at), slog.Int("code", e.Code), slog.String("status", e.Enhanced.String()), slog.String("reply", e.Text))
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	in.Log.LogAttrs(context.Background(), level, "rejected", attrs...)
	return err
}

func isReply(err error) bool {
	var e *status.Error
	return errors.As(err, &e)
}

func isConnectionEnd(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled)
}

func (t *transaction) logAccepted(m *spool.Message, r message.Report, n message.Notes) {
	attrs := []slog.Attr{
		slog.String("queue_id", string(m.ID)), slog.String("message_id", m.MessageID),
		slog.String("client", m.Client.Name), slog.String("client_addr", m.Client.String()),
		slog.String("reverse_path", m.Envelope.ReversePath.String()), slog.String("mailbox", m.Mailbox.String()),
		slog.Int("recipients", len(m.Envelope.Recipients)), slog.Int64("size", m.Size),
	}
	if len(r.Trimmed) > 0 {
		attrs = append(attrs, slog.Int("trimmed", len(r.Trimmed)))
	}
	if notes := n.String(); notes != "" {
		attrs = append(attrs, slog.String("notes", notes))
	}
	t.in.Log.LogAttrs(context.Background(), slog.LevelInfo, "accepted", attrs...)
}

// cut shortens s to at most n octets without splitting a UTF-8 sequence.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
