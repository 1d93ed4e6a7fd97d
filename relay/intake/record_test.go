package intake

import (
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
	"graphrelay/relay/policy"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// recorded are the refusals in short.
func (b *bench) recorded() (list []string) {
	for _, k := range b.refused {
		addr := "unix"
		if k.Addr.IsValid() {
			addr = k.Addr.String()
		}
		list = append(list, strings.Join([]string{
			addr, k.Client, k.Login, k.Sender.String(), k.Domain, k.Status.String(), k.Reason,
		}, "|"))
	}
	b.refused = nil
	return list
}

func (b *bench) wantRecorded(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := strings.Join(b.recorded(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("%s: recorded\n%s\nwant\n%s", what, got, strings.Join(want, "\n"))
	}
}

// A refusal is recorded with what is known of it when it happens: once for each
// domain that the message was for, under the author that was refused.
func TestRefusalsAreRecorded(t *testing.T) {
	b := newBench(t, site, func(c *Config) {
		c.Rules.Policy = policy.New(policy.Rules{
			Senders: []policy.Sender{{Address: addr("reports@example.org"), Mailbox: addr("reports@example.org")}},
			Clients: []policy.ClientRule{{
				Name: "erp", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
				Recipients: []envelope.Address{addr("*@example.net"), addr("*@example.com")},
			}},
		})
	})
	s, err := b.from(t, "10.1.2.3", smtpd.AuthOff)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Mail(t.Context(), smtpd.MailFrom{Path: addr("evil@example.org")})
	b.wantRecorded(t, "sender", "10.1.2.3|erp||evil@example.org||5.7.1|sender not allowed")
	text := "From: reports@example.org\r\n\r\nx\r\n"
	_, _ = b.deliver(t, s, "reports@example.org", []string{"a@example.net", "b@other.example"}, text)
	b.wantRecorded(t, "recipient", "10.1.2.3|erp||reports@example.org|other.example|5.7.1|recipient not allowed")
	_, _ = b.deliver(t, s, "reports@example.org", []string{"a@example.net", "c@example.net", "b@example.com"},
		strings.Replace(text, "reports", "boss", 1))
	b.wantRecorded(t, "From", "10.1.2.3|erp||boss@example.org|example.net|5.7.1|From not allowed",
		"10.1.2.3|erp||boss@example.org|example.com|5.7.1|From not allowed")
	_, _ = b.deliver(t, s, "reports@example.org", []string{"a@example.net"}, text)
	b.wantRecorded(t, "nothing refused")
	large := reply.New(552, reply.Enhanced{5, 3, 4}, "Max message size exceeded")
	b.Refused(smtpd.Peer{}, s, large)
	b.wantRecorded(t, "by the server", "10.1.2.3|erp||||5.3.4|larger than smtp.max_message_size")
}

// Whoever is no client has an address and a reason: nothing that was sent.
func TestOfStrangersNothingIsRecordedButTheAddress(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "192.0.2.1", smtpd.AuthOptional)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Authenticate(t.Context(), "my password by mistake", "x")
	_, _ = s.Mail(t.Context(), smtpd.MailFrom{Path: addr("evil@example.org")})
	_, _ = b.from(t, "192.0.2.2", smtpd.AuthOff)
	full := reply.New(421, reply.Enhanced{4, 7, 0}, "Too many connections, try again later")
	b.Refused(smtpd.Peer{Unix: true}, nil, full)
	b.wantRecorded(t, "strangers", "192.0.2.1|||||5.7.8|wrong user name or password",
		"192.0.2.1|||||5.7.0|a login is required, and the client does not log in",
		"192.0.2.2|||||5.7.1|no client entry matches this address", "unix|||||4.7.0|smtp.max_connections reached")
}
