//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// postfixSubmission is Postfix behind a shim, which speaks STARTTLS and XOAUTH2 as Postfix
// cannot, and in front of a sink, where Postfix sends what it has in its queue.
func postfixSubmission(t *testing.T, cert, key string) *bufio.Reader {
	lines, say := io.Pipe()
	t.Cleanup(func() { _ = lines.Close() })
	user := &atomic.Pointer[string]{}
	sink := smtp.NewServer(&sink{say: json.NewEncoder(say), user: user})
	sink.Domain, sink.MaxLineLength = "sink.example", 4096
	sink.AllowInsecureAuth = true
	at := listen(t)
	go func() { _ = sink.Serve(at) }()
	p := foreign.StartPostfix(t, t.TempDir(), true, "relayhost = ["+host(at)+"]:"+port(at), "message_size_limit = 0",
		"mailbox_size_limit = 0", "local_header_rewrite_clients =", "smtp_line_length_limit = 0")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	front := listen(t)
	s := shim{tls: &tls.Config{Certificates: []tls.Certificate{pair}}, behind: p.Addr, user: user}
	go s.serve(front)
	go func() { _ = json.NewEncoder(say).Encode(map[string]any{"port": front.Addr().(*net.TCPAddr).Port}) }()
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = os.Stderr.WriteString(p.Log())
		}
	})
	return bufio.NewReader(lines)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", harness.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func host(l net.Listener) string { h, _, _ := net.SplitHostPort(l.Addr().String()); return h }
func port(l net.Listener) string { _, p, _ := net.SplitHostPort(l.Addr().String()); return p }

// shim answers up to the login, and then hands the connection to the server behind it.
type shim struct {
	tls    *tls.Config
	behind string
	user   *atomic.Pointer[string]
}

func (s shim) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.talk(c)
	}
}

func (s shim) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	in, secure := bufio.NewReader(c), false
	reply := "220 shim.example ready"
	for {
		if _, err := io.WriteString(c, reply+"\r\n"); err != nil {
			return
		}
		line, err := in.ReadString('\n')
		verb, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch {
		case err != nil:
			return
		case verb == "EHLO" && !secure:
			reply = "250-shim.example\r\n250 STARTTLS"
		case verb == "EHLO":
			reply = "250-shim.example\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n250 AUTH XOAUTH2"
		case verb == "STARTTLS" && !secure:
			_, _ = io.WriteString(c, "220 go ahead\r\n")
			conn := tls.Server(c, s.tls)
			c, in, secure, reply = conn, bufio.NewReader(conn), true, ""
			if line, err = in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "EHLO ") {
				return
			}
			reply = "250-shim.example\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n250 AUTH XOAUTH2"
		case verb == "AUTH" && secure: // the response is too long for the line
			_, _ = io.WriteString(c, "334 \r\n")
			if line, _ = in.ReadString('\n'); s.knows(strings.TrimSpace(line)) {
				s.pass(c, in)
				return
			}
			reply = "535 5.7.3 Authentication unsuccessful"
		default:
			reply = "503 5.5.1 Out of order"
		}
	}
}

// knows reads user=...^Aauth=Bearer ...^A^A with something like a token in it.
func (s shim) knows(response string) bool {
	raw, err := base64.StdEncoding.DecodeString(response)
	fields := bytes.Split(raw, []byte("\x01"))
	if err != nil || len(fields) != 4 || bytes.Count(fields[1], []byte(".")) != 2 {
		return false
	}
	user, named := strings.CutPrefix(string(fields[0]), "user=")
	s.user.Store(&user)
	return named && bytes.HasPrefix(fields[1], []byte("auth=Bearer "))
}

func (s shim) pass(c net.Conn, in *bufio.Reader) {
	back, err := net.Dial("tcp", s.behind)
	if err != nil {
		return
	}
	defer func() { _ = back.Close() }()
	from := bufio.NewReader(back)
	_, err = harness.ReadReply(back, from)
	if err == nil {
		_, err = io.WriteString(back, "EHLO shim.example\r\n")
	}
	if err == nil {
		_, err = harness.ReadReply(back, from)
	}
	_ = back.SetDeadline(time.Time{}) // that of the dialog so far
	if err == nil {
		_, err = io.WriteString(c, "235 2.7.0 Authentication successful\r\n")
	}
	if err == nil {
		go func() { _, _ = io.Copy(back, in); _ = back.Close() }()
		_, _ = io.Copy(c, from)
	}
}

// sink says what arrives.
type sink struct {
	say  *json.Encoder
	user *atomic.Pointer[string]
}

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &drain{sink: s}, nil }

// drain is a session of sink.
type drain struct {
	*sink
	from string
	to   []string
}

func (d *drain) Mail(from string, _ *smtp.MailOptions) error { d.from = from; return nil }
func (d *drain) Rcpt(to string, _ *smtp.RcptOptions) error   { d.to = append(d.to, to); return nil }
func (d *drain) Reset()                                      { d.from, d.to = "", nil }
func (d *drain) Logout() error                               { return nil }

// Data reads a message behind the Received field that Postfix has added.
func (d *drain) Data(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, "Received:") && !strings.HasPrefix(line, "\t") {
			in = bufio.NewReader(io.MultiReader(strings.NewReader(line), in))
			break
		}
	}
	hash := sha256.New()
	size, err := io.Copy(hash, in)
	if err != nil {
		return err
	}
	return d.say.Encode(map[string]any{"user": *d.user.Load(), "from": d.from, "to": d.to, "size": size,
		"sha256": hex.EncodeToString(hash.Sum(nil))})
}
