package intake

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/loglimit"
	"graphrelay/relay/message"
	"graphrelay/relay/pacing"
	"graphrelay/relay/policy"
	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd"
)

// site has a client by network, one by login, and one by both.
func site(c *Config) {
	hash := hashOf("secret")
	c.Policy = policy.New(policy.Rules{
		Senders: []policy.Sender{
			{Address: addr("reports@example.org"), Mailbox: addr("mailbox@example.org")},
			{Address: addr("erp@example.org")}, {Address: addr("scans@example.org")},
		},
		Aliases: map[string]envelope.Address{"root": addr("admin@example.org")},
		Hosts:   []string{"web01.example.org"},
		Clients: []policy.ClientRule{
			{
				Name: "erp", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
				Senders:    []envelope.Address{addr("erp@example.org")},
				Recipients: []envelope.Address{addr("boss@example.org")},
				Rate:       pacing.Rate{Count: 2, Per: time.Minute}, MaxConnections: 2,
			},
			{Name: "scanner", Username: "scanner", PasswordHash: hash,
				Senders: []envelope.Address{addr("scans@example.org")}, Rewrite: true,
				Repair: policy.Repair{DisplayName: true, MissingFrom: true, LocalSender: true}, MaxConnections: 1},
			{Name: "plc", Username: "plc", PasswordHash: hash,
				Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}},
		},
	})
}

// from connects a peer to a listener that offers logins.
func (b *bench) from(t *testing.T, ip string, auth smtpd.AuthMode) (smtpd.Session, error) {
	t.Helper()
	s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), 9), Auth: auth})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// deliver runs one transaction of a session.
func (b *bench) deliver(t *testing.T, s smtpd.Session, reverse string, to []string, text string) (
	envelope.QueueID, error,
) {
	t.Helper()
	from := smtpd.MailFrom{ESMTP: true}
	if reverse != "" {
		from.Path = addr(reverse)
	}
	tx, err := s.Mail(t.Context(), from)
	if err != nil {
		return "", err
	}
	for _, r := range to {
		if err := tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr(r)}); err != nil {
			tx.Abort()
			return "", err
		}
	}
	return tx.Data(t.Context(), strings.NewReader(text))
}

func TestWhoMayConnect(t *testing.T) {
	b := newBench(t, site)
	for _, c := range []struct {
		ip   string
		auth smtpd.AuthMode
		want string // of connect, or else of MAIL
	}{
		{"10.1.2.3", smtpd.AuthOff, ""},
		{"10.1.2.3", smtpd.AuthRequired, "530 5.7.0"},
		{"192.0.2.1", smtpd.AuthOff, "554 5.7.1"},
		{"192.0.2.1", smtpd.AuthOptional, "530 5.7.0"},
		{"10.2.0.1", smtpd.AuthOff, "554 5.7.1"},
	} {
		s, err := b.from(t, c.ip, c.auth)
		if err == nil {
			_, err = s.Mail(t.Context(), smtpd.MailFrom{Path: addr("erp@example.org")})
		}
		if got := codeOf(err); got != c.want {
			t.Errorf("%s, auth %d: %q, want %q", c.ip, c.auth, got, c.want)
		}
	}
}

// A login gives the rights of its own rule, and takes those of the network.
func TestALoginReplacesTheClient(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "10.1.2.3", smtpd.AuthOptional)
	if err != nil {
		t.Fatal(err)
	}
	if got := codeOf(s.Authenticate(t.Context(), "scanner", "wrong")); got != "535 5.7.8" {
		t.Error(got)
	}
	if _, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr("scans@example.org")}); codeOf(err) != "550 5.7.1" {
		t.Errorf("before the login: %v", err)
	}
	if err := s.Authenticate(t.Context(), "scanner", "secret"); err != nil {
		t.Fatal(err)
	}
	id, err := b.deliver(t, s, "scans@example.org", []string{"a@example.net"},
		"From: scans@example.org\r\nTo: a@example.net\r\n\r\nx\r\n")
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.store.Get(t.Context(), id)
	if err != nil || r.Client.Name != "scanner" || r.Client.Login != "scanner" {
		t.Errorf("%+v, %v", r.Client, err)
	}
	if log := b.log.String(); !strings.Contains(log, `at=auth code=535`) ||
		!strings.Contains(log, `wrong password for user name`) || strings.Contains(log, "secret") {
		t.Errorf("log %s", log)
	}
	if got := b.stored(t, id); !strings.Contains(got, "with ESMTPA id") {
		t.Errorf("Received lacks the login: %s", got)
	}
	// A login that is bound to a network is unknown elsewhere.
	elsewhere, err := b.from(t, "10.1.2.4", smtpd.AuthOptional)
	if err != nil {
		t.Fatal(err)
	}
	if got := codeOf(elsewhere.Authenticate(t.Context(), "plc", "secret")); got != "535 5.7.8" {
		t.Error(got)
	}
}

func TestConnectionsOfAClient(t *testing.T) {
	b := newBench(t, site)
	first, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("10.1.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.from(t, "10.1.0.2", smtpd.AuthOff); err != nil {
		t.Fatal(err)
	}
	if _, err := b.from(t, "10.1.0.3", smtpd.AuthOff); codeOf(err) != "421 4.7.0" {
		t.Errorf("the third: %v", err)
	}
	first.Close()
	if _, err := b.from(t, "10.1.0.3", smtpd.AuthOff); err != nil {
		t.Error(err)
	}
	// Before its login a connection is a stranger's, then the user's, and whoever comes
	// from the same address is known.
	var guests []smtpd.Session
	for range 2 {
		s, err := b.from(t, "192.0.2.1", smtpd.AuthOptional)
		if err != nil {
			t.Fatal(err)
		}
		if s.Standing() != smtpd.Stranger {
			t.Error("who has never logged in is no stranger")
		}
		guests = append(guests, s)
	}
	if err := guests[0].Authenticate(t.Context(), "scanner", "secret"); err != nil {
		t.Fatal(err)
	}
	if guests[0].Standing() != smtpd.Client || guests[1].Standing() != smtpd.Known {
		t.Errorf("after a login from there: %v, %v", guests[0].Standing(), guests[1].Standing())
	}
	if s, err := b.from(t, "192.0.2.2", smtpd.AuthOptional); err != nil || s.Standing() != smtpd.Stranger {
		t.Errorf("a stranger from elsewhere: %v", err)
	}
	if err := guests[1].Authenticate(t.Context(), "scanner", "secret"); codeOf(err) != "421 4.7.0" {
		t.Errorf("the user's second connection: %v", err)
	}
}

func TestConnectionCountsEndWithTheConnections(t *testing.T) {
	b := newBench(t, site)
	for range 100 {
		s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:1"),
			Auth: smtpd.AuthOptional})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Authenticate(t.Context(), "scanner", "secret"); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if len(b.limits.open) != 0 {
		t.Errorf("%v", b.limits.open)
	}
}

// One user of the system takes no places of others on unix sockets.
func TestConnectionsOfAUserOnUnixSockets(t *testing.T) {
	b := newBench(t, site, func(c *Config) {
		c.MaxOfUser = 3
		c.Policy = policy.New(policy.Rules{
			LocalClient: true, Senders: []policy.Sender{{Address: addr("a@example.org")}},
		})
	})
	connect := func(user string) (smtpd.Session, error) {
		return b.Connect(t.Context(), smtpd.Peer{Unix: true, User: user})
	}
	for range 3 {
		if _, err := connect("33"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := connect("33"); codeOf(err) != "421 4.7.0" {
		t.Errorf("one too many of a user: %v", err)
	}
	s, err := connect("0")
	if err != nil {
		t.Fatalf("another user: %v", err)
	}
	s.Close()
	if len(b.limits.open) != 1 {
		t.Errorf("%v", b.limits.open)
	}
}

func TestRateOfAClient(t *testing.T) {
	b := newBench(t, site)
	now := time.Unix(1_800_000_000, 0)
	b.Now = func() time.Time { return now }
	send := func(ip string) string {
		s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Mail(t.Context(), smtpd.MailFrom{Path: addr("erp@example.org")}) // and goes on with it
		return codeOf(err)
	}
	for i, want := range []string{"", "", "452 4.7.1", "452 4.7.1"} {
		if got := send("10.1.0.1"); got != want {
			t.Errorf("message %d: %q, want %q", i+1, got, want)
		}
	}
	now = now.Add(30 * time.Second)
	if got := send("10.1.99.9"); got != "" { // the bucket is the client's, not the address's
		t.Error(got)
	}
}

// One address of a client that has used up rate_per_address leaves the others theirs,
// and what it was refused does not count for the client; so it is with users of a socket.
func TestRatePerAddressIsOfEach(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Policy = policy.New(policy.Rules{
			Senders: []policy.Sender{{Address: addr("erp@example.org")}},
			Clients: []policy.ClientRule{{
				Name: "erp", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
				Rate:           pacing.Rate{Count: 5, Per: time.Minute},
				RatePerAddress: pacing.Rate{Count: 2, Per: time.Minute},
			}},
		})
	})
	now := time.Unix(1_800_000_000, 0)
	b.Now = func() time.Time { return now }
	send := func(ip, want string) {
		t.Helper()
		s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err = s.Mail(t.Context(), smtpd.MailFrom{Path: addr("erp@example.org")}); codeOf(err) != want {
			t.Errorf("%s: %q, want %q", ip, codeOf(err), want)
		}
	}
	for _, want := range []string{"", "", "452 4.7.1", "452 4.7.1", "452 4.7.1", "452 4.7.1"} {
		send("10.1.0.1", want)
	}
	for range 2 {
		send("10.1.0.2", "")
	}
	send("10.1.0.3", "")
	send("10.1.0.3", "452 4.7.1") // now the client has used up its own
	if !strings.Contains(b.log.String(), "10.1.0.1 of client") {
		t.Errorf("the log names no address: %s", b.log.String())
	}
	now = now.Add(time.Hour)
	send("10.1.0.4", "")
	if n := len(b.limits.inside); n != 1 {
		t.Errorf("%d addresses are remembered after an hour", n)
	}
}

// A message that is refused, or that the client gives up, is not counted: a
// device with one wrong address must not be locked out by its own rate.
func TestARefusedMessageDoesNotCount(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "10.1.0.1", smtpd.AuthOff)
	if err != nil {
		t.Fatal(err)
	}
	good, to := "From: erp@example.org\r\nTo: boss@example.org\r\n\r\nx\r\n", []string{"boss@example.org"}
	for range 5 {
		if _, err := b.deliver(t, s, "erp@example.org", to,
			strings.Replace(good, "erp@", "ceo@", 1)); codeOf(err) != "550 5.7.1" {
			t.Fatalf("a wrong From: %v", err)
		}
		_, err = b.deliver(t, s, "erp@example.org", []string{"other@example.org"}, good)
		if codeOf(err) != "550 5.7.1" {
			t.Fatalf("a wrong recipient: %v", err)
		}
	}
	for i, want := range []string{"", "", "452 4.7.1"} {
		if _, err := b.deliver(t, s, "erp@example.org", to, good); codeOf(err) != want {
			t.Errorf("good message %d: %v, want %q", i+1, err, want)
		}
	}
	tx, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr("erp@example.org")})
	if err == nil {
		tx.Abort()
		t.Error("the third message within the minute is begun")
	}
}

// The log and the message name the user who submits at a unix socket; all of them
// are the client "local".
func TestTheUserBehindASocketIsTold(t *testing.T) {
	b := newBench(t)
	s, err := b.Connect(t.Context(), smtpd.Peer{Unix: true, User: "33"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.deliver(t, s, "reports@example.org", []string{"a@example.net"}, goodHeader+"\r\nx\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.stored(t, id); !strings.Contains(got, "Received: from unknown (local socket, user 33)\r\n") {
		t.Errorf("the message does not tell the user:\n%s", got)
	}
	if _, err := b.deliver(t, s, "ceo@example.org", []string{"a@example.net"}, goodHeader+"\r\nx\r\n"); err == nil {
		t.Fatal("a wrong reverse-path is accepted")
	}
	for _, event := range []string{"msg=accepted", "msg=refused"} {
		const want = "client=local client_addr=unix client_user=33"
		if line := lineWith(b.log.String(), event); !strings.Contains(line, want) {
			t.Errorf("%s does not tell the user: %q", event, line)
		}
	}
}

func lineWith(log, part string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

// The guards behind other checks: smtpd accepts no DATA without a recipient, and
// message writes what policy demands. If one of them fails, the message is
// refused and not sent.
func TestGuards(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "10.1.0.1", smtpd.AuthOff)
	if err != nil {
		t.Fatal(err)
	}
	text := "From: erp@example.org\r\n\r\nx\r\n"
	if _, err := b.deliver(t, s, "erp@example.org", nil, text); codeOf(err) != "554 5.5.1" ||
		reply.Of(err).Text != errNoRcpt.Text {
		t.Errorf("no recipients: %v", err)
	}
	h, _, err := message.Read(strings.NewReader(text), message.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tx := &transaction{session: s.(*session), from: smtpd.MailFrom{Path: addr("erp@example.org")}}
	wanted := policy.Grant{Mailbox: addr("erp@example.org"), From: addr("erp@example.org"),
		ReversePath: addr("erp@example.org")}
	if err := tx.judgeAgain(h, wanted); err != nil {
		t.Errorf("what was granted is refused: %v", err)
	}
	wanted.Mailbox = addr("mailbox@example.org")
	if err := tx.judgeAgain(h, wanted); reply.Of(err).Text != errRewrite.Text {
		t.Errorf("another mailbox than granted: %v", err)
	}
	b.empty(t)
}

func TestRecipientsOfAClient(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "10.1.2.3", smtpd.AuthOff)
	if err != nil {
		t.Fatal(err)
	}
	text := "From: erp@example.org\r\nTo: boss@example.org\r\n\r\nx\r\n"
	if _, err := b.deliver(t, s, "erp@example.org", []string{"other@example.org"}, text); codeOf(err) != "550 5.7.1" {
		t.Error(err)
	}
	if _, err := b.deliver(t, s, "erp@example.org", []string{"boss@example.org"}, text); err != nil {
		t.Error(err)
	}
}

// A recipient that no header can carry safely is refused at RCPT, where the client
// can still drop it.
func TestRecipientsThatNoHeaderCanSay(t *testing.T) {
	b := newBench(t)
	s, err := b.Connect(t.Context(), smtpd.Peer{Unix: true})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.Mail(t.Context(), smtpd.MailFrom{Path: addr("reports@example.org")})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rcpt(t.Context(), smtpd.RcptTo{Path: addr(`"a,b"@example.net`)}); codeOf(err) != "550 5.1.3" {
		t.Error(err)
	}
}

// What cron sends becomes a complete message, and gives it no further rights.
func TestLocalMail(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "192.0.2.1", smtpd.AuthOptional)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Authenticate(t.Context(), "scanner", "secret"); err != nil {
		t.Fatal(err)
	}
	id, err := b.deliver(t, s, "root@web01.example.org", []string{"root", "root@LOCALHOST", "ROOT",
		"admin@example.org"},
		"From: root (Cron Daemon)\r\nTo: root@localhost\r\nSender: www-data@web01.local\r\nSubject: x\r\n\r\nx\r\n")
	if err != nil {
		t.Fatal(err)
	}
	got := b.stored(t, id)
	for _, want := range []string{"To: admin@example.org\r\n", "<scans@example.org>\r\n", "Cron Daemon"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q: %s", want, got)
		}
	}
	if strings.Contains(got, "Sender:") || strings.Contains(got, "Bcc:") {
		t.Errorf("stored %s", got)
	}
	r, err := b.store.Get(t.Context(), id)
	if err != nil || len(r.Envelope.Recipients) != 1 || r.Envelope.ReversePath != addr("scans@example.org") ||
		r.From != addr("scans@example.org") {
		t.Errorf("%+v, %v", r, err)
	}
	const want = "rewritten_for=local_sender from_was=root reverse_path_was=root@web01.example.org"
	if log := b.log.String(); !strings.Contains(log, want) {
		t.Errorf("log %s", log)
	}
}

func TestRewriteOfOtherSenders(t *testing.T) {
	b := newBench(t, site)
	s, err := b.from(t, "192.0.2.1", smtpd.AuthOptional)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Authenticate(t.Context(), "scanner", "secret"); err != nil {
		t.Fatal(err)
	}
	id, err := b.deliver(t, s, "ceo@example.org", []string{"a@example.net"},
		"From: The Boss <ceo@example.org>\r\nTo: a@example.net\r\n\r\nx\r\n")
	if err != nil {
		t.Fatal(err)
	}
	got := b.stored(t, id)
	for _, want := range []string{"From: The Boss <scans@example.org>\r\n", "Reply-To: ceo@example.org\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q: %s", want, got)
		}
	}
	if log := b.log.String(); !strings.Contains(log, "rewritten_for=other_senders from_was=ceo@example.org") {
		t.Errorf("log %s", log)
	}
	// Resent fields are never replaced.
	if _, err := b.deliver(t, s, "", []string{"a@example.net"},
		"From: scans@example.org\r\nResent-From: ceo@example.org\r\n\r\nx\r\n"); codeOf(err) != "550 5.7.1" {
		t.Error(err)
	}
}

func TestLoops(t *testing.T) {
	b := newBench(t)
	own := "Received: from x by relay.example.org (graphrelay) with ESMTP id 1; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
	other := "Received: from x by y with SMTP; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
	for fields, want := range map[string]string{
		strings.Repeat(own, 2): "", strings.Repeat(own, 3): "554 5.4.6",
		strings.Repeat(other, 30): "", strings.Repeat(other, 31): "554 5.4.6",
	} {
		if _, err := b.send(t, "reports@example.org", []string{"a@example.net"},
			fields+goodHeader+"\r\nx\r\n"); codeOf(err) != want {
			t.Errorf("%.20q...: %v, want %q", fields, err, want)
		}
	}
}

func TestBareLFIsRefusedWhereTheListenerSaysSo(t *testing.T) {
	b := newBench(t)
	for reject, want := range map[bool]string{true: "550 5.6.0", false: ""} {
		s, err := b.Connect(t.Context(), smtpd.Peer{Unix: true, RejectBareLF: reject})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{goodHeader + "\r\nbare\nLF\r\n", "X: y\n" + goodHeader + "\r\nx\r\n",
			goodHeader + "\r\n10%\r20%\r\n", goodHeader + "\r\nx\r\r\n", goodHeader + "\r\nlow\x00\r\n"} {
			if _, err := b.deliver(t, s, "reports@example.org", []string{"a@example.net"}, text); codeOf(err) != want {
				t.Errorf("reject %v: %v, want %q", reject, err, want)
			}
		}
		s.Close()
	}
}

// The client cannot make new kinds of refusals by what it writes.
func TestRefusalsWithOtherTextsAreOneKind(t *testing.T) {
	b := newBench(t)
	s, err := b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("127.0.0.1:25")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		_, _ = s.Mail(t.Context(), smtpd.MailFrom{Path: addr(fmt.Sprintf("x%d@example.net", i))})
	}
	b.Flush()
	if n := strings.Count(b.log.String(), "msg=refused"); n != logLines ||
		!strings.Contains(b.log.String(), "count=95") {
		t.Errorf("%d lines: %s", n, b.log.String())
	}
}

// A flood of refusals is a few lines and a count.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b.quiet = loglimit.New(b.Log, logLines)
		for range 1000 {
			_, _ = b.Connect(t.Context(), smtpd.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:25")})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
	if n := strings.Count(b.log.String(), "msg=refused"); n != logLines ||
		!strings.Contains(b.log.String(), "count=995") {
		t.Errorf("%d lines: %s", n, b.log.String())
	}
}
