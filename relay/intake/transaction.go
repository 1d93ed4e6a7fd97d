package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"graphrelay/relay/dsn"
	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// transaction is one message on its way in.
type transaction struct {
	*session
	from       smtpd.MailFrom
	who        envelope.Client
	recipients []envelope.Address
	unreported []envelope.Address // those of them with NOTIFY=NEVER
	seen       map[string]bool
	aliases    map[string]envelope.Address // of the recipients without a domain, by Key
	uncount    func()                      // takes the message off the client's rate

	reserved func(committed bool) // its first attempt follows at once; nil if not
	kept     *spool.Message       // once it is committed

	author envelope.Address   // the first of From, as it arrived
	about  []envelope.Address // the recipients that a refusal would concern
}

// Abort implements smtpd.Transaction.
func (t *transaction) Abort() {
	t.uncount()
	t.tx = nil
}

// Rcpt implements smtpd.Transaction. A repeated recipient is accepted and kept once.
func (t *transaction) Rcpt(_ context.Context, rcpt smtpd.RcptTo) error {
	to := rcpt.Path
	t.about = []envelope.Address{to}
	bare := withoutLocalhost(to)
	full, err := t.rules.Policy.Recipient(t.client, bare)
	if err == nil {
		err = message.CheckRecipient(full)
	}
	if err != nil {
		return t.reject(err, "rcpt", slog.String("recipient", to.String()))
	}
	if t.seen == nil {
		t.seen, t.aliases = make(map[string]bool), make(map[string]envelope.Address)
	}
	if bare.Domain() == "" {
		t.aliases[bare.Key()] = full
	}
	key := full.Key()
	if !t.seen[key] {
		t.seen[key] = true
		t.recipients = append(t.recipients, full)
		if rcpt.NoReport {
			t.unreported = append(t.unreported, full)
		}
	} else if !rcpt.NoReport {
		t.unreported = slices.DeleteFunc(t.unreported, full.Equal)
	}
	return nil
}

// withoutLocalhost reads root@localhost as root: programs write both.
func withoutLocalhost(a envelope.Address) envelope.Address {
	if a.Domain() != "localhost" || strings.Contains(a.Local(), "@") { // no alias has an @
		return a
	}
	return a.Bare()
}

// Data implements smtpd.Transaction.
func (t *transaction) Data(ctx context.Context, r io.Reader) (envelope.QueueID, error) {
	t.about = t.recipients
	defer t.pass()
	m, err := t.receive(ctx, r)
	if err != nil {
		t.uncount()
		return "", t.reject(err, "data",
			slog.String("reverse_path", t.from.Path.String()), slog.Int("recipients", len(t.recipients)))
	}
	t.tx = nil
	return m.ID, nil
}

// pass hands a committed message over to the delivery, whatever came between; it gives back
// what was reserved for one that was not.
func (t *transaction) pass() {
	switch {
	case t.reserved != nil:
		t.reserved(t.kept != nil)
	case t.kept != nil:
		t.in.Notify(*t.kept)
	}
}

// receive reads, judges, edits and commits; if it fails, nothing is stored.
func (t *transaction) receive(ctx context.Context, r io.Reader) (*spool.Message, error) {
	if len(t.recipients) == 0 {
		return nil, errNoRcpt
	}
	header, body, err := message.Read(r, message.Options{RejectBareLF: t.peer.RejectBareLF})
	if err != nil {
		return nil, err
	}
	if err := header.CheckLoop(t.rules.Hostname); err != nil {
		return nil, err
	}
	header, grant, repairs, err := t.authorize(header)
	if err != nil {
		return nil, err
	}
	m := t.describe(header, grant)
	block, report, err := header.Apply(t.edits(m))
	if err != nil {
		return nil, err
	}
	repairs.changed("display_name", report.Renamed)
	repairs.changed("exchange_field", report.Exchange)
	repairs.changed("graphrelay_field", report.Ours)
	m.HeaderSize, m.Automatic = int64(len(block)), dsn.Unwanted(block) != ""
	if err := t.store(ctx, m, block, body); err != nil {
		return nil, err
	}
	t.logAccepted(m, repairs, report, body.Notes())
	return m, nil
}

// repairs records which author fields were changed and why, for the log.
type repairs struct {
	why    string   // the key of policy that asked for it
	from   string   // as it arrived; empty if it was left
	fields []string // that changed
	names  []string // of the repairs, for the log and the metric
}

// changed records the fields that a repair changed.
func (r *repairs) changed(repair string, fields []string) {
	if r.fields = append(r.fields, fields...); len(fields) > 0 {
		r.named(repair)
	}
}

func (r *repairs) named(repair string) {
	if !slices.Contains(r.names, repair) {
		r.names = append(r.names, repair)
	}
}

// authorize asks policy about the message as it will be sent: first it repairs what
// the client's rule allows to repair, and it judges again what policy had rewritten.
func (t *transaction) authorize(h *message.Header) (*message.Header, policy.Grant, repairs, error) {
	var r repairs
	h = t.mend(h, &r)
	h, expanded := h.ExpandAliases(func(a envelope.Address) (envelope.Address, bool) {
		to, ok := t.aliases[withoutLocalhost(a).Key()]
		return to, ok
	})
	r.fields = append(r.fields, expanded...)
	claims, err := t.claims(h)
	if err != nil {
		return nil, policy.Grant{}, r, err
	}
	if len(claims.From) > 0 {
		t.author = claims.From[0]
	}
	grant, err := t.rules.Policy.Grant(t.client, claims)
	if err != nil || grant.Rewrite == (policy.Rewrite{}) {
		return h, grant, r, err
	}
	if r.why = grant.Rewrite.Why; len(claims.From) > 0 {
		r.from = claims.From[0].String()
	}
	h, rewritten := h.Rewrite(message.AuthorEdits{
		From: grant.Rewrite.From, ReplyTo: grant.Rewrite.ReplyTo, Sender: grant.Rewrite.Sender,
		DropSender: grant.Rewrite.DropSender,
	})
	r.fields = append(r.fields, rewritten...)
	r.named(r.why)
	return h, grant, r, t.judgeAgain(h, grant)
}

// mend repairs what the client's rule allows to repair without asking policy. A
// report comes with the null reverse-path, and from nobody.
func (t *transaction) mend(h *message.Header, r *repairs) *message.Header {
	var fields []string
	if t.client.Repair.DisplayName {
		h, fields = h.QuoteNames()
		r.changed("display_name", fields)
		h, fields = h.MendLists()
		r.changed("display_name", fields)
	}
	if t.client.Repair.LocalSender && t.from.Path.IsZero() {
		h, fields = h.NameDaemon()
		r.changed("local_sender", fields)
	}
	return h
}

// judgeAgain checks the rewritten header as if it had arrived like that: policy
// must demand no further rewrite and grant the same mailbox.
func (t *transaction) judgeAgain(h *message.Header, grant policy.Grant) error {
	claims, err := t.claims(h)
	if err != nil {
		return err
	}
	claims.ReversePath = grant.ReversePath
	again, err := t.rules.Policy.Grant(t.client, claims)
	if err != nil {
		return err
	}
	if again.Rewrite != (policy.Rewrite{}) || !again.Mailbox.Equal(grant.Mailbox) {
		return errRewrite.Becausef("after the rewrite for %s policy demands another one; "+
			"please report it with the header of the message", grant.Rewrite.Why)
	}
	return nil
}

func (t *transaction) claims(h *message.Header) (policy.Message, error) {
	a, err := h.Authors()
	return policy.Message{
		ReversePath: t.from.Path, From: a.From, Sender: a.Sender, ResentFrom: a.ResentFrom,
		ResentSender: a.ResentSender,
	}, err
}

func (t *transaction) describe(h *message.Header, g policy.Grant) *spool.Message {
	now := t.in.Now()
	m := &spool.Message{
		ID: envelope.NewQueueID(now), Client: t.who, Mailbox: g.Mailbox, From: g.From, ConfiguredFrom: g.Fixed,
		Envelope: envelope.Envelope{
			ReversePath: g.ReversePath, Recipients: t.recipients, Unreported: t.unreported, UTF8: t.from.UTF8,
		},
		Subject: cut(h.Subject(), 200), Accepted: now,
	}
	m.MessageID = cmp.Or(loggable(h.MessageID()), "<"+string(m.ID)+"@"+t.rules.Hostname+">")
	return m
}

func (t *transaction) edits(m *spool.Message) message.Edits {
	id := ""
	if t.rules.IDHeader {
		id = t.in.key.ID(m.ID)
	}
	return message.Edits{
		ID: id, Received: t.rules.Received.field(t.rules.Hostname, t.from, t.peer, m), Recipients: t.recipients,
		Extra: t.rules.Extra, Date: m.Accepted, MessageID: m.MessageID,
	}
}

// store writes the message into a draft and commits it. A commit is not
// cancelled half-way: the client may be gone, the answer must still be true.
func (t *transaction) store(ctx context.Context, m *spool.Message, block []byte, body io.Reader) error {
	draft, err := t.in.Store.Begin(ctx, m.Turn().Client, t.from.Size)
	if err != nil {
		return storeReply(err)
	}
	defer draft.Abort()
	m.Size = int64(len(block))
	if _, err := draft.Write(block); err != nil {
		return storeReply(err)
	}
	n, err := io.Copy(draftWriter{draft}, io.LimitReader(body, t.rules.MaxSize-m.Size+1))
	if err != nil {
		return err
	}
	if m.Size += n; m.Size > t.rules.MaxSize {
		return errTooBig.Becausef("with the added header fields the message has more than "+
			"delivery.mime_limit (%d bytes); raise mime_limit or lower smtp.max_message_size", t.rules.MaxSize)
	}
	if at := t.in.Now(); t.in.Reserve != nil {
		if t.reserved = t.in.Reserve(*m, at); t.reserved != nil {
			draft.Attempt(at)
		}
	}
	if err := draft.Commit(context.WithoutCancel(ctx), *m); err != nil {
		return storeReply(err)
	}
	if t.reserved != nil && !draft.Attempted() {
		t.reserved(false)
		t.reserved = nil
	}
	t.kept = m
	return nil
}

// draftWriter gives a write error of the spool its reply, so that the error of
// io.Copy distinguishes a full disk from a broken connection.
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
		return errFull.Because(plain(err))
	default:
		return errUnhealthy.Because(plain(err))
	}
}

// plain is what an operator reads of an error of the spool: its cause.
func plain(err error) error {
	if c, ok := errors.AsType[text.Cause](err); ok {
		return c
	}
	return fmt.Errorf("%w; see graphrelay status", err)
}
