//go:build interop

package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

const patience = time.Minute

// hard is a message with what programs and relays like to spoil: a signature
// over trailing blanks, 8-bit text, dots at line starts, folds, a line longer
// than 998 octets, and a recipient in To who is not in the envelope.
var hard = strings.Join([]string{
	"Received: from printer (printer [192.0.2.9])",
	"\tby inside.example.org with SMTP; Sun, 22 Nov 2026 08:00:00 +0000",
	"Date: Sun, 22 Nov 2026 08:00:00 +0000",
	"From: =?utf-8?Q?Gr=C3=BCner_Drucker?= <" + harness.Sender + ">",
	"To: \"Admin, the\" <a@example.org>,",
	"  (a comment) outsider@example.net",
	"Cc:b@example.org",
	"Subject: =?utf-8?B?R3LDvMOfZQ==?=",
	" folded",
	"Message-ID: <hard@client.example.org>",
	"X-Empty:",
	"MIME-Version: 1.0",
	"Content-Type: multipart/signed; protocol=\"application/pgp-signature\";",
	"\tmicalg=pgp-sha256; boundary=\"=_b\"",
	"",
	"--=_b",
	"Content-Type: text/plain; charset=iso-8859-1",
	"Content-Transfer-Encoding: 8bit",
	"",
	"Gr\xfc\xdfe   \t",
	".",
	"..two",
	".hidden",
	strings.Repeat("long ", 300),
	"--=_b",
	"Content-Type: application/pgp-signature",
	"",
	"-----BEGIN PGP SIGNATURE-----",
	"=twTO",
	"-----END PGP SIGNATURE-----",
	"--=_b--",
	"",
}, "\r\n")

var three = []string{"a@example.org", "b@example.org", "hidden@example.com"}

// setup is a relay with a double behind it and a tap before it.
type setup struct {
	*harness.Relay
	double *harness.Double
	tap    *harness.Tap
	host   string
	port   string
}

func start(t *testing.T, settings ...harness.Setting) setup {
	t.Helper()
	d := harness.StartDouble(t)
	r := harness.StartRelay(t, d, settings...)
	tap := harness.NewTap(t, r.Addr)
	host, port, _ := strings.Cut(tap.Addr, ":")
	return setup{r, d, tap, host, port}
}

// arrived waits until n messages arrived and compares each with what the
// client said on the wire, found by its Message-ID.
func (s setup) arrived(t *testing.T, n int) []harness.Message {
	t.Helper()
	got := s.double.WaitFor(t, n, patience)
	s.WaitEmpty(patience)
	sent := s.tap.Sent()
	if len(sent) != n || len(s.double.Received()) != n {
		t.Fatalf("%d sent, %d arrived, want %d\n%s", len(sent), len(s.double.Received()), n, s.Tail())
	}
	for _, m := range sent {
		fields, _ := harness.Split(harness.CRLF(m.Data))
		id := harness.Field(fields, "Message-ID")
		at := slices.IndexFunc(got, func(g harness.Message) bool { return id == "" || g.MessageID == id })
		if at < 0 {
			t.Errorf("message %q did not arrive", id)
			continue
		}
		harness.CompareMessage(t, m, got[at].Raw)
		if !slices.Equal(harness.Folded(got[at].Recipients), harness.Folded(m.To)) {
			t.Errorf("%s goes to %q, the envelope said %q", id, got[at].Recipients, m.To)
		}
		if !strings.EqualFold(m.From, harness.Sender) {
			t.Errorf("the client sent as %q", m.From)
		}
	}
	return got
}

// unspoiled checks that the client itself handed over the message it was given.
func (s setup) unspoiled(t *testing.T, message string) {
	t.Helper()
	for _, m := range s.tap.Sent() {
		if harness.CRLF(m.Data) != harness.CRLF(message) {
			t.Errorf("the client changed the message before it reached the relay:\n%q", m.Data)
		}
		if !slices.Equal(harness.Folded(m.To), harness.Folded(three)) {
			t.Errorf("the client named %q", m.To)
		}
	}
}

func run(t *testing.T, cmd *exec.Cmd, input string) {
	t.Helper()
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func lf(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func TestSwaks(t *testing.T) {
	swaks := foreign.Swaks(t)
	for _, extra := range [][]string{nil, {"--pipeline"}} {
		s := start(t)
		args := append([]string{"--server", s.host, "--port", s.port, "--helo", "client.example.org", "--from",
			harness.Sender,
			"--to", strings.Join(three, ","), "--no-data-fixup", "--data", "@" + file(t, hard)}, extra...)
		run(t, swaks(args...), "")
		s.arrived(t, 1)
	}
}

func TestMsmtp(t *testing.T) {
	s := start(t)
	args := []string{"--file=/dev/null", "--host=" + s.host, "--port=" + s.port, "--auth=off", "--tls=off", "--from=" +
		harness.Sender, "--"}
	run(t, foreign.Msmtp(t)(append(args, three...)...), lf(hard))
	s.arrived(t, 1)
	s.unspoiled(t, hard)
}

// With -t msmtp reads the recipients from the header and strips Bcc.
func TestMsmtpReadsRecipients(t *testing.T) {
	s := start(t)
	args := []string{"--file=/dev/null", "--host=" + s.host, "--port=" + s.port, "--auth=off", "--tls=off", "--from=" +
		harness.Sender, "-t"}
	run(t, foreign.Msmtp(t)(args...), "From: "+harness.Sender+
		"\nTo: a@example.org\nBcc: hidden@example.com\nSubject: t\nMessage-ID: <t@x>\n\nBody\n")
	got := s.arrived(t, 1)[0]
	if want := []string{"a@example.org", "hidden@example.com"}; !slices.Equal(harness.Folded(got.Recipients), want) {
		t.Errorf("recipients %q, want %q", got.Recipients, want)
	}
}

// curl sends a file as it is: with CRLF, and with the bare LF of a Unix file.
func TestCurl(t *testing.T) {
	curl := foreign.Curl(t)
	for _, message := range []string{hard, lf(hard)} {
		s := start(t)
		args := []string{"-sS", "--url", "smtp://" + s.tap.Addr + "/client.example.org", "--mail-from", harness.Sender,
			"--upload-file", file(t, message)}
		for _, to := range three {
			args = append(args, "--mail-rcpt", to)
		}
		run(t, curl(args...), "")
		s.arrived(t, 1)
		if message == hard { // behind a last line that ends in LF curl adds a CRLF of its own
			s.unspoiled(t, message)
		}
	}
}

func TestPythonSmtplib(t *testing.T) {
	s := start(t)
	run(t, foreign.Python(t)("testdata/smtplib_raw.py", s.host, s.port, harness.Sender, file(t, hard),
		strings.Join(three, ",")), "")
	s.arrived(t, 1)
	s.unspoiled(t, hard)
}

// Messages that Python composes: five on one connection, with attachments and
// names in other scripts, one with an address that needs SMTPUTF8.
func TestPythonComposes(t *testing.T) {
	s := start(t)
	run(t, foreign.Python(t)("testdata/smtplib_compose.py", s.host, s.port, harness.Sender), "")
	s.arrived(t, 6)
}

func TestSNail(t *testing.T) {
	s := start(t)
	attachment := file(t, strings.Repeat("Gr\u00fc\u00dfe, attached\n.\n", 200))
	cmd := foreign.SNail(t)("-n", "-#", "-S", "v15-compat", "-S", "mta=smtp://"+s.tap.Addr, "-S", "smtp-auth=none",
		"-S", "from="+harness.Sender,
		"-r", harness.Sender, "-S", "sendwait", "-S", "ttycharset=utf-8", "-S", "sendcharsets=utf-8", "-S",
		"DEAD=/dev/null", "-s", "Gr\u00fc\u00dfe von s-nail",
		"-c", "b@example.org", "-b", "hidden@example.com", "-a", attachment, "a@example.org")
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir())
	run(t, cmd, "Line one\n.\n..two\n\xc3\xa4\n")
	got := s.arrived(t, 1)[0]
	if !slices.Equal(harness.Folded(got.Recipients), harness.Folded(three)) {
		t.Errorf("recipients %q, want %q", got.Recipients, three)
	}
}

func TestNodemailer(t *testing.T) {
	node := foreign.Nodemailer(t)
	s := start(t)
	run(t, node("testdata/nodemailer.js", s.host, s.port, harness.Sender, file(t, hard), strings.Join(three, ",")), "")
	s.arrived(t, 4)
}

// Postfix as a satellite hands everything to the relay.
func TestPostfixSatellite(t *testing.T) {
	s := start(t)
	p := foreign.StartPostfix(t, t.TempDir(), true, "relayhost = [127.0.0.1]:"+s.port)
	c := harness.Hello(t, p.Addr)
	c.Send(harness.Sender, three, hard)
	c.Send(harness.Sender, three[:1], "From: "+harness.Sender+
		"\r\nTo: a@example.org\r\nSubject: second\r\nMessage-ID: <second@x>\r\n\r\nBody\r\n")
	c.Want(c.Say("QUIT"), 221)
	s.arrived(t, 2)
	harness.Until(t, patience, "Postfix's queue to be empty", func() bool { return p.Queued() == 0 })
	if n := strings.Count(p.Log(), "status=sent"); n != 4 {
		t.Errorf("Postfix says sent for %d recipients, want 4\n%s", n, p.Log())
	}
}

// A burst through Postfix and its connection cache, from smtp-source.
func TestPostfixSatelliteBurst(t *testing.T) {
	s := start(t)
	p := foreign.StartPostfix(t, t.TempDir(), true, "relayhost = [127.0.0.1]:"+s.port)
	run(t, foreign.SMTPSource(t)("-s", "5", "-m", "100", "-l", "4000", "-N", "-f", harness.Sender, "-t",
		"to@example.org", p.Addr), "")
	s.arrived(t, 100)
	harness.Until(t, patience, "Postfix's queue to be empty", func() bool { return p.Queued() == 0 })
}

// What the relay refuses for good, Postfix bounces; it must not try for ever.
func TestPostfixBouncesWhatIsRefused(t *testing.T) {
	s := start(t)
	p := foreign.StartPostfix(t, t.TempDir(), true, "relayhost = [127.0.0.1]:"+s.port)
	harness.Hello(t, p.Addr).Send("stranger@contoso.com", []string{"a@example.org"},
		"From: stranger@contoso.com\r\nSubject: x\r\n\r\nBody\r\n")
	harness.Until(t, patience,
		"Postfix to see the refusal", func() bool { return strings.Contains(p.Log(), "status=bounced") })
	if !strings.Contains(p.Log(), "550 5.7.1") {
		t.Errorf("Postfix was not told 550 5.7.1\n%s", p.Log())
	}
	if n := len(s.double.Received()); n != 0 {
		t.Errorf("%d messages arrived, want none", n)
	}
}
