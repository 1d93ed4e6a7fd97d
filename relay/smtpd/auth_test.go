package smtpd_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// plainAuth lets every client on this host log in without TLS.
func plainAuth(mode smtpd.AuthMode) smtpd.ListenerOptions {
	return smtpd.ListenerOptions{Name: "test", Auth: mode, PlaintextAuth: prefixes("127.0.0.0/8")}
}

func prefixes(networks ...string) (list []netip.Prefix) {
	for _, n := range networks {
		list = append(list, netip.MustParsePrefix(n))
	}
	return list
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// greeted returns a client that has sent EHLO to a listener with o.
func greeted(t testing.TB, o smtpd.ListenerOptions, h smtpd.Handler) *client {
	t.Helper()
	_, addr := startOn(t, smtpd.Config{}, o, h)
	c := dial(t, addr)
	c.expect("220")
	c.say("EHLO x", "250-")
	return c
}

// How devices log in: each line is sent after the reply to the one before.
func TestAuthDialogs(t *testing.T) {
	plain, user, password := b64("\x00scanner\x00secret"), b64("scanner"), b64("secret")
	for name, lines := range map[string][]string{
		"PLAIN":                  {"AUTH PLAIN " + plain + " -> 235 2.7.0"},
		"plain in two steps":     {"auth plain -> 334 ", plain + " -> 235"},
		"PLAIN with =":           {"AUTH PLAIN = -> 334 ", plain + " -> 235"},
		"PLAIN as itself":        {"AUTH PLAIN " + b64("scanner\x00scanner\x00secret") + " -> 235"},
		"PLAIN as somebody else": {"AUTH PLAIN " + b64("ceo\x00scanner\x00secret") + " -> 535 5.7.8"},
		"PLAIN without padding": {
			"AUTH PLAIN " + strings.TrimRight(b64("\x00scanner\x00secret"), "=") + " -> 235",
		},
		"PLAIN with two parts":  {"AUTH PLAIN " + b64("scanner\x00secret") + " -> 501 5.5.2"},
		"PLAIN with four parts": {"AUTH PLAIN " + b64("\x00scanner\x00sec\x00ret") + " -> 501 5.5.2"},
		"LOGIN": {
			"AUTH LOGIN -> 334 VXNlcm5hbWU6", user + " -> 334 UGFzc3dvcmQ6", password + " -> 235",
		},
		"login with inline user": {"auth login " + user + " -> 334 UGFzc3dvcmQ6", password + " -> 235"},
		"LOGIN with =":           {"AUTH LOGIN = -> 334 VXNlcm5hbWU6", user + " -> 334", password + " -> 235"},
		"LOGIN without padding": {
			"AUTH LOGIN -> 334", strings.TrimRight(user, "=") + " -> 334",
			strings.TrimRight(password, "=") + " -> 235",
		},
		"LOGIN, blanks around": {"AUTH   LOGIN -> 334", " " + user + "  -> 334", password + "\t -> 235"},
		"LOGIN cancelled":      {"AUTH LOGIN -> 334", "* -> 501 5.7.0"},
		"LOGIN cancelled late": {"AUTH LOGIN -> 334", user + " -> 334", "* -> 501 5.7.0"},
		"no base64":            {"AUTH LOGIN -> 334", "scanner! -> 501 5.5.2"},
		"wrong password": {
			"AUTH LOGIN " + user + " -> 334", user + " -> 535 5.7.8 Authentication credentials invalid",
		},
		"an empty password": {"AUTH LOGIN " + user + " -> 334", " -> 535 5.7.8"},
		"other mechanisms":  {"AUTH CRAM-MD5 -> 504 5.5.4", "AUTH -> 501 5.5.4", "AUTH PLAINX -> 504 5.5.4"},
		"an over-long response": {
			"AUTH PLAIN -> 334", strings.Repeat("A", 3000) + " -> 500 5.5.2", "NOOP -> 250",
		},
		"twice":            {"AUTH PLAIN " + plain + " -> 235", "AUTH PLAIN " + plain + " -> 503 5.5.1"},
		"in a transaction": {"MAIL FROM:<a@b> -> 250", "AUTH PLAIN " + plain + " -> 503 5.5.1"},
		"RSET and EHLO keep the login": {
			"AUTH PLAIN " + plain + " -> 235", "RSET -> 250", "EHLO y -> 250-", "AUTH LOGIN -> 503",
		},
		"MAIL with AUTH=":        {"AUTH PLAIN " + plain + " -> 235", "MAIL FROM:<a@b> AUTH=<> -> 250"},
		"commands are responses": {"AUTH LOGIN -> 334", "QUIT -> 334", "RSET -> 535"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &recorder{}
			c := greeted(t, plainAuth(smtpd.AuthOptional), h)
			c.dialog(lines...)
			want := 0
			if strings.HasPrefix(lines[len(lines)-1][strings.LastIndex(lines[len(lines)-1], "-> "):], "-> 235") {
				want = 1
			}
			if got := strings.Count(h.log(), "login"); got < want {
				t.Errorf("events %q", h.log())
			}
			c.say("NOOP", "250")
		})
	}
}

func TestAuthBeforeEHLO(t *testing.T) {
	_, addr := startOn(t, smtpd.Config{}, plainAuth(smtpd.AuthOptional), &recorder{})
	c := dial(t, addr)
	c.expect("220")
	c.dialog("AUTH LOGIN -> 503 5.5.1", "HELO x -> 250", "AUTH LOGIN -> 334")
}

func TestAuthIsAnnouncedWhereItIsPossible(t *testing.T) {
	tlsAuth := withTLS(t, smtpd.TLSOptional)
	tlsAuth.Auth = smtpd.AuthOptional
	elsewhere := plainAuth(smtpd.AuthOptional)
	elsewhere.PlaintextAuth = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	old := plainAuth(smtpd.AuthOptional)
	old.LegacyAuthLine = true
	for _, row := range []struct {
		name  string
		o     smtpd.ListenerOptions
		lines string // of EHLO
		try   string
		may   bool
	}{
		{"off", smtpd.ListenerOptions{}, "", "502 5.5.1", false},
		{"needs TLS", tlsAuth, "|250-STARTTLS|", "538 5.7.11", true},
		{"not from here", elsewhere, "", "538 5.7.11", false},
		{"plaintext", plainAuth(smtpd.AuthOptional), "|250-AUTH PLAIN LOGIN|", "334", true},
		{"legacy line", old, "|250-AUTH PLAIN LOGIN|250-AUTH=LOGIN PLAIN|", "334", true},
	} {
		h := &recorder{}
		_, addr := startOn(t, smtpd.Config{}, row.o, h)
		c := dial(t, addr)
		c.expect("220")
		got := c.say("EHLO x", "250-")
		if !strings.Contains(got, row.lines) || strings.Contains(got, "AUTH") != strings.Contains(row.lines, "AUTH") {
			t.Errorf("%s: EHLO %q", row.name, got)
		}
		c.say("AUTH LOGIN", row.try)
		if p := h.peer(0); (p.Auth == smtpd.AuthOptional) != row.may {
			t.Errorf("%s: %+v", row.name, p)
		}
	}
	c := greeted(t, tlsAuth, &recorder{})
	c.say("STARTTLS", "220")
	c.secure(trusting)
	if got := c.say("EHLO x", "250-"); !strings.Contains(got, "|250-AUTH PLAIN LOGIN|") {
		t.Errorf("EHLO under TLS %q", got)
	}
	c.say("AUTH PLAIN "+b64("\x00scanner\x00secret"), "235")
}

func TestAuthRequired(t *testing.T) {
	h := &recorder{}
	c := greeted(t, plainAuth(smtpd.AuthRequired), h)
	c.dialog("MAIL FROM:<a@example.org> -> 530 5.7.0", "RCPT TO:<a@example.org> -> 503", "DATA -> 503", "NOOP -> 250",
		"AUTH PLAIN "+b64("\x00scanner\x00wrong")+" -> 535", "MAIL FROM:<a@example.org> -> 530 5.7.0",
		"AUTH PLAIN "+b64("\x00scanner\x00secret")+" -> 235")
	c.begin()
	c.dialog("DATA -> 354", ". -> 250")
	if h.log() != "login mail data" {
		t.Error(h.log())
	}
}

// A client that would need a login and cannot log in is refused at once.
func TestAuthRequiredAndImpossible(t *testing.T) {
	o := plainAuth(smtpd.AuthRequired)
	o.PlaintextAuth = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	s, addr := startOn(t, smtpd.Config{}, o, &recorder{})
	c := dial(t, addr)
	c.expect("554 5.7.1")
	c.expectEnd()
	waitGone(t, s)
}

// Errors other than 535 are not failed logins.
func TestAuthErrors(t *testing.T) {
	h := &recorder{}
	for _, row := range []struct {
		err  error
		want string
	}{
		{errors.New("file /etc/x"), "451 4.3.0 Local error in processing, try again later"},
		{reply.New(454, reply.Enhanced{4, 7, 0}, "Later"), "454 4.7.0 Later"},
	} {
		h.set(hooks{auth: func(string, string) error { return row.err }})
		c := greeted(t, plainAuth(smtpd.AuthOptional), h)
		for range 20 { // not failed logins
			if got := c.say("AUTH PLAIN "+b64("\x00a\x00b"), ""); got != row.want {
				t.Fatalf("got %q, want %q", got, row.want)
			}
		}
	}
	h.set(hooks{auth: func(string, string) error { panic("x") }})
	c := greeted(t, plainAuth(smtpd.AuthOptional), h)
	c.say("AUTH PLAIN "+b64("\x00a\x00b"), "421 4.3.0")
	c.expectEnd()
}

// Each failure slows the client down, and the fifth closes the connection.
func TestAuthFailuresSlowDownAndClose(t *testing.T) {
	h := &recorder{}
	synctest.Test(t, func(t *testing.T) {
		s := smtpd.New(smtpd.Config{}, h)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		o := plainAuth(smtpd.AuthOptional)
		o.ProxyProtocol = nil
		o.PlaintextAuth = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		go func() { _ = s.Serve(l, o) }()
		defer func() { _ = s.Shutdown(context.Background()) }()
		ours, theirs := net.Pipe()
		l.conns <- &addressed{theirs, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
		c := &client{t, ours, newReader(ours)}
		c.expect("220")
		c.say("EHLO x", "250-")
		for i := range 4 {
			at := time.Now()
			c.say("AUTH PLAIN "+b64("\x00scanner\x00no"), "535 5.7.8")
			if d := time.Since(at); d != time.Duration(i+1)*time.Second {
				t.Errorf("failure %d answered after %v", i+1, d)
			}
		}
		c.say("AUTH PLAIN "+b64("\x00scanner\x00no"), "421 4.7.0")
		go func() { time.Sleep(time.Second); _ = c.nc.Close() }()
		c.expectEnd()
	})
}

// addressed is a connection from any address.
type addressed struct {
	net.Conn
	from net.Addr
}

func (a *addressed) RemoteAddr() net.Addr { return a.from }

// The clients of go-smtp and go-sasl, written by others, log in.
func TestAuthWithForeignClients(t *testing.T) {
	h := &recorder{}
	o := withTLS(t, smtpd.TLSRequired)
	o.Auth = smtpd.AuthRequired
	_, addr := startOn(t, smtpd.Config{}, o, h)
	for _, mechanism := range []sasl.Client{
		sasl.NewPlainClient("", "scanner", "secret"), sasl.NewLoginClient("scanner", "secret"),
	} {
		c, err := smtp.DialStartTLS(addr, trusting)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(mechanism); err != nil {
			t.Fatal(err)
		}
		body := strings.NewReader("Subject: x\r\n\r\nbody\r\n")
		if err := c.SendMail("a@example.org", []string{"b@example.org"}, body); err != nil {
			t.Error(err)
		}
		if err := c.Quit(); err != nil {
			t.Error(err)
		}
	}
	if len(h.accepted()) != 2 {
		t.Errorf("%d messages", len(h.accepted()))
	}
	c, err := smtp.DialStartTLS(addr, trusting)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var refusal *smtp.SMTPError
	if err := c.Auth(sasl.NewPlainClient("", "scanner", "wrong")); !errors.As(err, &refusal) || refusal.Code != 535 {
		t.Errorf("wrong password: %v", err)
	}
}
