package intake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"graphrelay/relay/message"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// reject logs and records a refusal and returns it. A connection that died needs no
// reply and is logged at debug level only: on an open port it happens every day.
func (s *session) reject(err error, at string, attrs ...slog.Attr) error {
	level := slog.LevelWarn
	e := reply.Of(err)
	var known *reply.Error
	if !errors.As(err, &known) && e.Cause != nil && isConnectionEnd(e.Cause) {
		level = slog.LevelDebug
	}
	attrs = append(attrs, s.clientAttrs()...)
	attrs = append(attrs, slog.String("at", at), slog.Int("code", e.Code),
		slog.String("status", e.Enhanced.String()), slog.String("reply", e.Text))
	if e.Cause != nil {
		attrs = append(attrs, slog.String("error", e.Cause.Error()))
	}
	// The kind does not include the text, which may hold what the client wrote.
	s.in.quiet.Log(level, "refused at "+at+" with "+e.Enhanced.String(), s.peer.Addr.Addr(), "refused", attrs...)
	if level == slog.LevelWarn {
		s.in.OnEvent(Event{At: at, Client: s.who(""), Refusal: e})
		s.record(e)
	}
	return err
}

func (s *session) clientAttrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("client", s.client.Name), slog.String("client_addr", s.peer.String())}
	if s.peer.User != "" {
		attrs = append(attrs, slog.String("client_user", s.peer.User))
	}
	if s.client.Login != "" {
		attrs = append(attrs, slog.String("login", s.client.Login))
	}
	return attrs
}

func isConnectionEnd(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled)
}

func (t *transaction) logAccepted(m *spool.Message, mended repairs, r message.Report, n message.Notes) {
	recipients := len(m.Envelope.Recipients)
	attrs := []slog.Attr{slog.String("queue_id", string(m.ID)), slog.String("message_id", m.MessageID)}
	attrs = append(attrs, t.clientAttrs()...)
	attrs = append(attrs,
		slog.String("reverse_path", m.Envelope.ReversePath.String()), slog.String("mailbox", m.Mailbox.String()),
		slog.Int("recipients", recipients), slog.Int64("size", m.Size))
	if len(r.Trimmed) > 0 {
		attrs = append(attrs, slog.Int("trimmed", len(r.Trimmed)))
	}
	if mended.why != "" {
		attrs = append(attrs, slog.String("rewritten_for", mended.why), slog.String("from_was", mended.from),
			slog.String("reverse_path_was", t.from.Path.String()))
	}
	if len(mended.fields) > 0 {
		attrs = append(attrs, slog.String("changed", strings.Join(mended.fields, ",")))
	}
	if len(mended.names) > 0 {
		attrs = append(attrs, slog.String("repaired", strings.Join(mended.names, ",")))
	}
	if s := n.String(); s != "" {
		attrs = append(attrs, slog.String("notes", s))
		mended.names = append(mended.names, strings.Split(s, ",")...)
	}
	t.in.Log.LogAttrs(context.Background(), slog.LevelInfo, "accepted", attrs...)
	t.in.OnEvent(Event{At: "data", Client: m.Client, Mailbox: m.Mailbox, Recipients: recipients,
		To: m.Envelope.Recipients, Size: m.Size,
		Repairs: mended.names})
}

// loggable makes a Message-ID fit for logs, tables and the queue: a line of a
// header has 998 bytes, and none of a good one is a control character.
func loggable(id string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, cut(id, 998))
}

// cut shortens s to at most n bytes without splitting a UTF-8 sequence.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
