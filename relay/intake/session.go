package intake

import (
	"context"
	"log/slog"

	"graphrelay/relay/envelope"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
)

// session is one connection of a client, or of somebody who may become one by
// logging in.
type session struct {
	in     *Intake
	peer   smtpd.Peer
	client policy.Client
	owner  owner
}

// Connect implements smtpd.Handler.
func (in *Intake) Connect(_ context.Context, p smtpd.Peer) (smtpd.Session, error) {
	s := &session{in: in, peer: p}
	var err error
	if s.client, err = in.Policy.Connect(policy.Peer{Addr: p.Addr, Unix: p.Unix, Auth: authOf(p.Auth)}); err != nil {
		return nil, s.reject(err, "connect", slog.String("listener", p.Listener))
	}
	if s.owner, err = in.limits.enter(s.client, p.Addr.Addr()); err != nil {
		return nil, s.reject(err, "connect", slog.String("listener", p.Listener))
	}
	return s, nil
}

func authOf(m smtpd.AuthMode) policy.Auth {
	switch m {
	case smtpd.AuthOptional:
		return policy.AuthOptional
	case smtpd.AuthRequired:
		return policy.AuthRequired
	}
	return policy.AuthOff
}

// who is the client for the record of a message.
func (s *session) who(helo string) envelope.Client {
	return envelope.Client{Name: s.client.Name, Addr: s.peer.Addr, Helo: helo, Login: s.client.Login}
}

// Close implements smtpd.Session.
func (s *session) Close() { s.in.limits.leave(s.owner) }

// Authenticate implements smtpd.Session.
func (s *session) Authenticate(ctx context.Context, username, password string) error {
	next, hash, known := s.in.Policy.Login(s.client, username)
	err := s.in.logins.check(ctx, attempt{s.peer.Addr.Addr(), username, password, hash, known})
	if err == nil {
		err = s.become(next)
	}
	if err != nil {
		return s.reject(err, "auth", slog.String("login", cut(username, maxUsername)))
	}
	s.in.Log.Debug("logged in", "client", next.Name, "client_addr", s.peer.String(), "login", next.Login)
	return nil
}

// become makes the connection count for another client.
func (s *session) become(next policy.Client) error {
	owner, err := s.in.limits.enter(next, s.peer.Addr.Addr())
	if err != nil {
		return err
	}
	s.in.limits.leave(s.owner)
	s.owner, s.client = owner, next
	return nil
}

// Mail implements smtpd.Session.
func (s *session) Mail(_ context.Context, from smtpd.MailFrom) (smtpd.Transaction, error) {
	t := &transaction{session: s, from: from, who: s.who(from.Helo)}
	if err := s.in.Policy.ReversePath(s.client, from.Path); err != nil {
		return nil, s.reject(err, "mail", slog.String("reverse_path", from.Path.String()))
	}
	if err := s.in.Store.Admit(from.Size); err != nil {
		return nil, s.reject(storeReply(err), "mail", slog.Int64("size", from.Size))
	}
	var err error
	if t.uncount, err = s.in.limits.message(s.client, s.in.Now()); err != nil {
		return nil, s.reject(err, "mail")
	}
	return t, nil
}
