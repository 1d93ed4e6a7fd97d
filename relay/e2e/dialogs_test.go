package e2e_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// produce makes the program give a refusal, and returns it.
type produce func(t *testing.T, f *front) string

const (
	mailFrom = "MAIL FROM:<" + harness.Sender + ">"
	rcptTo   = "RCPT TO:<" + anyone + ">"
	ehlo     = "EHLO client.example.org"
	headFrom = "From: " + harness.Sender + "\r\n"
)

// at says texts to a listener from an address; the last reply counts.
func at(listener func(*front) string, from string, texts ...string) produce {
	return func(t *testing.T, f *front) string {
		k := dialFrom(t, from, listener(f))
		greeting := k.reply()
		if len(texts) == 0 {
			return greeting
		}
		return k.ask(texts...)
	}
}

func plainPort(f *front) string    { return f.Addr }
func requiredPort(f *front) string { return f.required }
func authPort(f *front) string     { return f.auth }
func authTLSPort(f *front) string  { return f.authTLS }
func authOnlyPort(f *front) string { return f.authOnly }
func noLoginPort(f *front) string  { return f.noLogin }
func strictLFPort(f *front) string { return f.strictLF }

// speaks is at for who may do everything, after EHLO.
func speaks(texts ...string) produce {
	return at(plainPort, fromEverybody, append([]string{ehlo}, texts...)...)
}

// inMail is speaks after an accepted MAIL.
func inMail(texts ...string) produce { return speaks(append([]string{mailFrom}, texts...)...) }

// sends hands a message over.
func sends(message string) produce { return sendsFrom(fromEverybody, message) }

func sendsFrom(from, message string) produce {
	return at(plainPort, from, ehlo, mailFrom, rcptTo, "DATA", message+"\r\n.")
}

func logsIn(texts ...string) produce {
	return at(authPort, fromEverybody, append([]string{ehlo}, texts...)...)
}

func secret(parts ...string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Join(parts, "\x00")))
}

func times(n int, text string) []string {
	return strings.Split(strings.Repeat(text+"\n", n-1)+text, "\n")
}

// dialogs are, by refusal, how to get it.
func dialogs() map[string]produce {
	all := map[string]produce{}
	for _, some := range []map[string]produce{connectionDialogs(), commandDialogs(), loginDialogs(), senderDialogs(),
		recipientDialogs(), messageDialogs()} {
		for text, p := range some {
			all[text] = p
		}
	}
	return all
}

func connectionDialogs() map[string]produce {
	return map[string]produce{
		"554 5.7.1 Access denied; ask the administrator of this relay to allow this client": at(plainPort,
			fromStranger),
		"554 5.7.1 Access denied, no login is possible from your address": at(noLoginPort,
			fromEverybody),
		"421 4.7.0 Too many connections, try again later": tooMany(3,
			harness.With("smtp", "max_connections: 3")),
		"421 4.7.0 Too many connections, try again later; ask the administrator of this relay for more": connects(2,
			plainPort, fromFew),
		"421 4.7.0 Too many connections without a login, try again later": outstays(20,
			authOnlyPort, fromStranger),
		"421 4.7.0 Too many connections of this user, try again later": crowds,
		"421 4.3.2 Service is not available, try again later":          unnamed,
		"421 4.3.2 Service is shutting down, try again later":          stops,
		"421 4.4.2 Timeout, closing connection":                        idles,
		"421 4.7.0 Too many errors, closing connection": speaks(times(11,
			"FOO")...),
		"421 4.7.0 Too many commands without a message, closing connection": speaks(times(100,
			"NOOP")...),
		"421 4.7.0 This is SMTP, closing connection": at(plainPort,
			fromEverybody, "GET / HTTP/1.1"),
		"452 4.3.1 Insufficient system storage, try again later": fills,
	}
}

// connects opens n connections; the greeting of the last counts.
func connects(n int, listener func(*front) string, from string) produce {
	return func(t *testing.T, f *front) string {
		var greeting string
		for range n {
			greeting = dialFrom(t, from, listener(f)).reply()
		}
		return greeting
	}
}

// outstays opens a connection and n others, and returns what the first reads then.
func outstays(n int, listener func(*front) string, from string) produce {
	return func(t *testing.T, f *front) string {
		first := dialFrom(t, from, listener(f))
		_ = first.reply()
		connects(n, listener, from)(t, f)
		return first.reply()
	}
}

// crowds opens connections to a unix socket, of which a quarter may be of one user.
func crowds(t *testing.T, _ *front) string {
	dir, err := os.MkdirTemp("", "gr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "submit.sock")
	start(t, harness.With("smtp", "  - address: unix:"+socket, "max_connections: 8"))
	var greeting string
	for range 3 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		greeting = (&talk{t, c, bufio.NewReader(c)}).reply()
	}
	return greeting
}

// tooMany opens one connection more than a relay of its own has.
func tooMany(most int, s harness.Setting) produce {
	return func(t *testing.T, _ *front) string {
		r, _ := start(t, s)
		return connects(most+1, plainPort, fromEverybody)(t, &front{Relay: r})
	}
}

func stops(t *testing.T, _ *front) string {
	r, _ := start(t)
	k := dialFrom(t, fromEverybody, r.Addr)
	_ = k.reply()
	if err := syscall.Kill(r.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return k.reply()
}

func idles(t *testing.T, _ *front) string {
	r, _ := start(t, harness.With("smtp", "idle_timeout: 1s"))
	k := dialFrom(t, fromEverybody, r.Addr)
	_ = k.reply()
	return k.reply()
}

// fills the queue of a relay whose mail does not leave.
func fills(t *testing.T, _ *front) string {
	r := harness.StartRelay(t, harness.NewDouble(t), harness.With("queue", "max_messages: 1"))
	f := &front{Relay: r}
	if got := sends(headFrom+"\r\nfirst")(t, f); !strings.HasPrefix(got, "250 ") {
		t.Fatalf("the first message is answered %q", got)
	}
	return speaks(mailFrom)(t, f)
}

func commandDialogs() map[string]produce {
	return map[string]produce{
		"500 5.5.2 Command not recognized":                          speaks("FOO"),
		"500 5.5.2 Control characters in command":                   speaks("NOOP \x01"),
		"500 5.5.2 Line too long":                                   speaks("NOOP " + strings.Repeat("x", 3000)),
		"500 5.5.2 Line too long, closing connection":               speaks(strings.Repeat("x", 200<<10)),
		"502 5.5.1 Command not implemented":                         speaks("HELP"),
		"503 5.5.1 Bad sequence of commands":                        inMail("DATA"),
		"503 5.5.1 Sender already given":                            inMail(mailFrom),
		"503 5.5.1 Message transfer with BDAT is under way":         inMail(rcptTo, "BDAT 5\r\nabc", rcptTo),
		"501 5.5.4 Chunk size not understood, closing connection":   inMail(rcptTo, "BDAT x"),
		"501 5.5.4 DATA command should not have any arguments":      inMail(rcptTo, "DATA now"),
		"501 5.5.4 Malformed DSN parameter":                         inMail(rcptTo + " NOTIFY=OFTEN"),
		"501 5.5.4 Blank missing between address and parameters":    speaks(mailFrom + "SIZE=1"),
		"501 5.5.2 Was expecting MAIL arg syntax of FROM:<address>": speaks("MAIL FROM:"),
		"501 5.5.2 Was expecting RCPT arg syntax of TO:<address>":   inMail("RCPT TO:<>"),
		"501 5.5.4 Unable to parse MAIL ESMTP parameters":           speaks(mailFrom + " A=B=C"),
		"501 5.5.4 Unable to parse RCPT ESMTP parameters":           inMail(rcptTo + " A=B=C"),
		"501 5.5.4 Unable to parse SIZE as an integer":              speaks(mailFrom + " SIZE=large"),
		"501 5.5.4 Unknown BODY value":                              speaks(mailFrom + " BODY=9BIT"),
		"555 5.5.4 Parameter not recognized or not implemented":     inMail(rcptTo + " X=NEVER"),
		"530 5.7.0 Must issue a STARTTLS command first":             at(requiredPort, fromEverybody, ehlo, mailFrom),
		"503 5.5.1 TLS is active already":                           twiceTLS,
		"503 5.5.1 Not within a mail transaction":                   inMail("STARTTLS"),
		"501 5.5.4 No argument allowed":                             speaks("STARTTLS now"),
		"530 5.7.0 Authentication required":                         at(authOnlyPort, fromEverybody, ehlo, mailFrom),
		"538 5.7.11 Encryption required for authentication":         at(authTLSPort, fromEverybody, ehlo, "AUTH LOGIN"),
	}
}

func twiceTLS(t *testing.T, f *front) string {
	k := dialFrom(t, fromEverybody, f.Addr)
	_ = k.reply()
	k.ask(ehlo)
	k.startTLS()
	return k.ask("STARTTLS")
}

func loginDialogs() map[string]produce {
	right, wrong := "AUTH PLAIN "+secret("", "scanner", goodPassword), "AUTH PLAIN "+secret("", "scanner", "wrong")
	return map[string]produce{
		"503 5.5.1 Already authenticated":                  logsIn(right, right),
		"501 5.5.4 Authentication mechanism missing":       logsIn("AUTH"),
		"504 5.5.4 Authentication mechanism not supported": logsIn("AUTH CRAM-MD5"),
		"501 5.7.0 Authentication cancelled":               logsIn("AUTH LOGIN", "*"),
		"501 5.5.2 Authentication response not understood": logsIn("AUTH LOGIN", "!"),
		"535 5.7.8 Authentication credentials invalid":     logsIn(wrong),
		"535 5.7.8 Authentication as one user for another is not possible": logsIn("AUTH PLAIN " +
			secret("boss", "scanner", goodPassword)),
		"421 4.7.0 Too many failed logins, closing connection": at(authOnlyPort, fromNarrow,
			append([]string{ehlo}, times(5, wrong)...)...),
		"454 4.7.0 Too many failed logins, try again later":                locks(wrong),
		"421 4.7.0 The settings of this relay have changed, connect again": changesPassword,
	}
}

// changesPassword gives a client another password while it is logged in.
func changesPassword(t *testing.T, _ *front) string {
	port, before, after := harness.FreeAddr(t), hashOf(t, goodPassword), hashOf(t, "another")
	r, _ := start(t, harness.With("smtp", "  - {address: "+port+", auth: required, plaintext_auth: [127.0.0.0/8]}"),
		harness.With("top", "clients:", "  - {name: scanner, username: scanner, password_hash: \""+before+"\"}"))
	k := dialFrom(t, fromEverybody, port)
	_ = k.reply()
	if got := k.ask(ehlo, "AUTH PLAIN "+secret("", "scanner", goodPassword), mailFrom,
		"RSET"); !strings.HasPrefix(got, "250 ") {
		t.Fatalf("before the reload: %q", got)
	}
	edit(t, r, before, after)
	reload(t, r)
	return k.ask(mailFrom)
}

// locks makes ten failures of one user from one address, on as many connections
// for each makes its own wait longer; then even another one is refused.
func locks(wrong string) produce {
	return func(t *testing.T, f *front) string {
		var all []*talk
		for range 10 {
			k := dialFrom(t, fromGuesser, f.authOnly)
			_ = k.reply()
			k.ask(ehlo)
			k.say(wrong)
			all = append(all, k)
		}
		for _, k := range all {
			if got := k.reply(); !strings.HasPrefix(got, "535 ") {
				t.Fatalf("a wrong password is answered %q", got)
			}
		}
		return all[0].ask(wrong)
	}
}

func senderDialogs() map[string]produce {
	return map[string]produce{
		"501 5.1.7 Bad sender address syntax":        speaks("MAIL FROM:<a@[300.1.1.1]>"),
		"553 5.6.7 Non-ASCII address needs SMTPUTF8": speaks("MAIL FROM:<ü@contoso.com>"),
		"550 5.7.1 … address … not allowed here; ask the administrator of this relay to add it to senders": speaks(
			"MAIL FROM:<boss@contoso.com>"),
		"550 5.7.1 … address has no domain; set a full address, as in user@example.org, in the program that sends": at(
			plainPort, fromUnmended, ehlo,
			"MAIL FROM:<root>"),
		"550 5.7.1 Message has no From address; set one in the program that sends": sendsFrom(fromUnmended,
			"Subject: no author\r\n\r\ntext"),
		"550 5.7.1 Message has several From addresses and no Sender; set one in the program that sends": sendsFrom(
			fromUnmended, "From: "+harness.Sender+", "+harness.Sender+"\r\n\r\ntext"),
		"550 5.6.0 Message has more than one From field": sends(headFrom + headFrom +
			"\r\ntext"),
		"550 5.6.0 Message has more than one Sender field": sends(headFrom +
			"Sender: " + harness.Sender + "\r\nSender: " + harness.Sender + "\r\n\r\ntext"),
		"550 5.6.0 Field … names more than one address": sends(headFrom +
			"Sender: " + harness.Sender + ", a@example.org\r\n\r\ntext"),
		"550 5.6.0 Field … has no unambiguous address list: …": sends(
			"From: <>\r\n\r\ntext"),
		"452 4.7.1 Too many messages, try again later; ask the administrator of this relay for a higher rate": at(
			plainPort, fromSlow, ehlo, mailFrom, rcptTo,
			"DATA", headFrom+"\r\ntext\r\n.", mailFrom),
	}
}

func recipientDialogs() map[string]produce {
	return map[string]produce{
		"501 5.1.3 Bad recipient address syntax": inMail("RCPT TO:<b@[300.1.1.1]>"),
		"550 5.1.2 Recipient address needs a domain, as in user@example.org; or ask the administrator of this relay " +
			"for an alias": inMail("RCPT TO:<root>"),
		"550 5.7.1 Recipient address … not allowed for this client; ask the administrator of this relay to add it to " +
			"the client's recipients": at(plainPort, fromNarrow, ehlo, mailFrom, rcptTo),
		"550 5.1.3 Recipient address has a local part that mail headers cannot carry safely": inMail(
			`RCPT TO:<"a,b"@example.org>`),
		"452 4.5.3 Maximum limit of … recipients reached": inMail(times(501, rcptTo)...),
		"550 5.6.0 Message header names a recipient that the envelope does not": strict(headFrom +
			"To: other@example.org\r\n\r\ntext"),
	}
}

// strict sends to a relay that refuses extra recipients.
func strict(message string) produce {
	return func(t *testing.T, _ *front) string {
		r, _ := start(t, harness.With("smtp", "extra_recipients: reject"))
		return sends(message)(t, &front{Relay: r})
	}
}

func messageDialogs() map[string]produce {
	return map[string]produce{
		"552 5.3.4 Max message size exceeded": speaks(mailFrom + " SIZE=99999999"),
		"552 5.3.4 Message size exceeds fixed limit": sends(headFrom + "\r\n" +
			strings.Repeat("0123456789abcdef\r\n", 130_000)),
		"552 5.3.4 Message size exceeds the limit of this relay": func(t *testing.T, _ *front) string {
			r, _ := start(t, harness.With("smtp", "max_message_size: 64KiB"),
				harness.With("delivery", "mime_limit: 128KiB"))
			return growsTooLarge(t, &front{Relay: r})
		},
		"552 5.3.4 Message header is too large": sends(headFrom + strings.Repeat(
			"X-Filler: "+strings.Repeat("f", 1000)+"\r\n", 1100) + "\r\ntext"),
		"552 5.3.4 Message header has too many fields": sends(headFrom + strings.Repeat(
			"X: y\r\n", 10_001) + "\r\ntext"),
		"554 5.4.6 Too many hops, this message is in a mail loop": sends(strings.Repeat("Received: by "+
			"x\r\n", 31) + headFrom + "\r\ntext"),
		"550 5.6.0 Message begins with a line From that is neither header field nor mbox separator": sends(
			"From now on\r\n" + headFrom + "\r\ntext"),
		"550 5.6.0 Message header begins with a continuation line": sends(" fold\r\n" +
			headFrom + "\r\ntext"),
		"550 5.6.0 Header line … has no colon": sends(headFrom +
			"no field\r\nCc: x\r\n\r\ntext"),
		"550 5.6.0 Header line … has no field name": sends(headFrom + ": x\r\n\r\ntext"),
		"550 5.6.0 Header line … has a blank in the field name": sends(headFrom +
			"Reply To: x\r\n\r\ntext"),
		"550 5.6.0 Header line … has a field name that is not printable ASCII": sends(headFrom +
			"Grüße: x\r\n\r\ntext"),
		"550 5.6.0 Message contains a CR without LF": at(strictLFPort, fromEverybody, ehlo,
			mailFrom, rcptTo, "DATA", headFrom+"\r\na\rb\r\n."),
		"550 5.6.0 Message contains a LF without CR": at(strictLFPort, fromEverybody, ehlo,
			mailFrom, rcptTo, "DATA", headFrom+"\r\na\nb\r\n."),
		"550 5.6.0 Message contains a NUL character": sends(headFrom + "\r\na\x00b"),
	}
}

// growsTooLarge sends to so many blind recipients that their Bcc field does not
// fit between the limit of SMTP and that of Graph.
func growsTooLarge(t *testing.T, f *front) string {
	texts := []string{ehlo, mailFrom}
	for i := range 500 {
		texts = append(texts,
			fmt.Sprintf("RCPT TO:<r%d@%s.example.org>", i, strings.Repeat(strings.Repeat("d", 60)+".", 3)+"d"))
	}
	texts = append(texts, "DATA", headFrom+"\r\n"+strings.Repeat("0123456789abcdef\r\n", 3000)+".")
	return at(plainPort, fromEverybody, texts...)(t, f)
}
