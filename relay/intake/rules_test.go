package intake

import (
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/policy"
	"graphrelay/relay/smtpd"
)

// rulesOf is a set of rules in which one network may send, and one login.
func rulesOf(senders []string, network, hash string) Rules {
	var list []policy.Sender
	for _, s := range senders {
		list = append(list, policy.Sender{Address: addr(s)})
	}
	var clients []policy.ClientRule
	if network != "" {
		clients = append(clients, policy.ClientRule{Name: "net",
			Networks: []netip.Prefix{netip.MustParsePrefix(network)}})
	}
	if hash != "" {
		clients = append(clients, policy.ClientRule{Name: "user", Username: "scanner", PasswordHash: hash})
	}
	return Rules{Policy: policy.New(policy.Rules{Senders: list, Clients: clients}), Hostname: "relay.example.org",
		MaxSize: 1 << 20}
}

func TestAnOpenConnectionObeysNewRulesFromItsNextMessage(t *testing.T) {
	const a, b = "a@example.org", "b@example.org"
	in := newBench(t, func(c *Config) { c.Rules = rulesOf([]string{a}, "10.0.0.0/8", "") })
	s, err := in.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("10.0.0.1:99")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr(a)})
	if err != nil {
		t.Fatal(err)
	}
	in.SetRules(rulesOf([]string{b}, "10.0.0.0/8", ""))
	if err := tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr("to@example.net")}); err != nil {
		t.Error(err)
	}
	if _, err := tx.Data(t.Context(), strings.NewReader("From: "+a+"\r\nTo: to@example.net\r\n\r\nx\r\n")); err != nil {
		t.Errorf("the transaction under way: %v", err)
	}
	if _, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr(a)}); codeOf(err) != "550 5.7.1" {
		t.Errorf("a sender that is gone: %v", err)
	}
	if _, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr(b)}); err != nil {
		t.Errorf("a sender that is new: %v", err)
	}
	in.SetRules(rulesOf([]string{b}, "10.9.0.0/16", ""))
	if _, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr(b)}); codeOf(err) != "554 5.7.1" {
		t.Errorf("a network that is gone: %v", err)
	}
}

func TestALoginEndsWithItsPassword(t *testing.T) {
	const a = "a@example.org"
	hash := hashOf("secret")
	in := newBench(t, func(c *Config) { c.Rules = rulesOf([]string{a}, "", hash) })
	s, err := in.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("10.0.0.1:99"),
		Auth: smtpd.AuthOptional})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Authenticate(t.Context(), "scanner", "secret"); err != nil {
		t.Fatal(err)
	}
	mail := func() string {
		_, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr(a)})
		return codeOf(err)
	}
	in.SetRules(rulesOf([]string{a}, "", hash))
	if got := mail(); got != "" {
		t.Errorf("with the same password: %s", got)
	}
	in.SetRules(rulesOf([]string{a}, "", hashOf("new")))
	if got := mail(); got != "421 4.7.0" {
		t.Errorf("with another password: %q, want 421 4.7.0", got)
	}
}
