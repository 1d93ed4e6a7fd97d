package intake

import (
	"context"
	"io"
	"log/slog"

	"graphrelay/relay/envelope"
	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
)

// session is one connection of a client, or of somebody who may become one by logging in.
type session struct {
	in     *Intake
	rules  *Rules // never changes within a transaction
	peer   smtpd.Peer
	client policy.Client
	hash   string // that a login was checked against
	owner  owner
	tx     *transaction // under way, or the one that MAIL was refused for; else nil
}

// Connect implements smtpd.Handler.
func (in *Intake) Connect(_ context.Context, p smtpd.Peer) (smtpd.Session, error) {
	s := &session{in: in, rules: in.rules.Load(), peer: p}
	var err error
	if s.client, err = s.rules.Policy.Connect(s.policyPeer()); err == nil {
		s.owner, err = in.limits.enter(s.client, p, s.rules.MaxOfUser)
	}
	if err != nil {
		return nil, s.reject(err, "connect", slog.String("listener", p.Listener))
	}
	return s, nil
}

func (s *session) policyPeer() policy.Peer {
	return policy.Peer{Addr: s.peer.Addr, Unix: s.peer.Unix, Auth: authOf[s.peer.Auth]}
}

// renew makes the session obey the current rules. A client that may no longer
// send gets the refusal that a new connection would get; one that logged in with
// a password that has changed must connect again.
func (s *session) renew() error {
	rules := s.in.rules.Load()
	if rules == s.rules {
		return nil
	}
	client, err := rules.Policy.Connect(s.policyPeer())
	if err != nil {
		return err
	}
	if login := s.client.Login; login != "" {
		next, hash, ok := rules.Policy.Login(client, login)
		if !ok || hash != s.hash {
			return errChanged.Becausef("a reload removed user name %q or changed its password_hash; "+
				"correct the client if it cannot log in again", login)
		}
		client = next
	}
	if client.Name != s.client.Name {
		return s.become(client, s.hash, rules)
	}
	s.client, s.rules = client, rules
	return nil
}

var authOf = map[smtpd.AuthMode]policy.Auth{
	smtpd.AuthOff: policy.AuthOff, smtpd.AuthOptional: policy.AuthOptional, smtpd.AuthRequired: policy.AuthRequired,
}

// who is the client for the record of a message.
func (s *session) who(helo string) envelope.Client {
	return envelope.Client{
		Name: s.client.Name, Addr: s.peer.Addr, Helo: helo, Login: s.client.Login, User: s.peer.User,
	}
}

// Standing implements smtpd.Session.
func (s *session) Standing() smtpd.Standing {
	switch {
	case !s.client.NeedsLogin():
		return smtpd.Client
	case s.in.logins.knownAt(placeOf(s.peer)):
		return smtpd.Known
	}
	return smtpd.Stranger
}

// Close implements smtpd.Session.
func (s *session) Close() { s.in.limits.leave(s.owner) }

// Authenticate implements smtpd.Session.
func (s *session) Authenticate(ctx context.Context, username, password string) error {
	err := s.renew()
	if err == nil {
		err = s.login(ctx, username, password)
	}
	if err != nil {
		return s.reject(err, "auth", slog.String("login", cut(username, maxUsername)))
	}
	s.in.Log.Debug("logged in", "client", s.client.Name, "client_addr", s.peer.String(), "login", s.client.Login)
	return nil
}

func (s *session) login(ctx context.Context, username, password string) error {
	next, hash, known := s.rules.Policy.Login(s.client, username)
	a := attempt{from: placeOf(s.peer), user: username, password: password, hash: hash, known: known}
	if err := s.in.logins.check(ctx, a); err != nil {
		return err
	}
	return s.become(next, hash, s.rules)
}

// become makes the connection count for another client.
func (s *session) become(next policy.Client, hash string, rules *Rules) error {
	owner, err := s.in.limits.enter(next, s.peer, rules.MaxOfUser)
	if err != nil {
		return err
	}
	s.in.limits.leave(s.owner)
	s.owner, s.client, s.hash, s.rules = owner, next, hash, rules
	return nil
}

// Mail implements smtpd.Session.
func (s *session) Mail(_ context.Context, from smtpd.MailFrom) (smtpd.Transaction, error) {
	t := &transaction{session: s, from: from}
	s.tx = t
	err := s.renew()
	if err == nil {
		err = s.rules.Policy.ReversePath(s.client, from.Path)
	}
	if err != nil {
		return nil, s.reject(err, "mail", slog.String("reverse_path", from.Path.String()))
	}
	t.who = s.who(from.Helo)
	turn := spool.Message{Client: t.who}.Turn()
	if err := s.in.Store.Admit(turn.Client, from.Size); err != nil {
		return nil, s.reject(storeReply(err), "mail", slog.Int64("size", from.Size))
	}
	if t.uncount, err = s.in.limits.message(s.client, turn, s.in.Now()); err != nil {
		return nil, s.reject(err, "mail")
	}
	return t, nil
}

// Submit takes a message that the service itself wrote, under the rules for
// programs of this host. listener names its origin in the log.
func (in *Intake) Submit(
	ctx context.Context, listener string, from, to envelope.Address, message io.Reader,
) (envelope.QueueID, error) {
	peer := smtpd.Peer{Listener: listener, Addr: envelope.OwnAddr()}
	s, err := in.Connect(ctx, peer)
	if err != nil {
		return "", err
	}
	defer s.Close()
	tx, err := s.Mail(ctx, smtpd.MailFrom{Path: from, Helo: listener, ESMTP: true})
	if err != nil {
		return "", err
	}
	if err := tx.Rcpt(ctx, smtpd.RcptTo{Path: to}); err != nil {
		tx.Abort()
		return "", err
	}
	return tx.Data(ctx, message)
}
