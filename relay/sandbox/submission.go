package sandbox

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// submissionServer imitates client submission of Exchange Online [D
// authenticated-client-smtp-submission]: SMTP with STARTTLS and AUTH XOAUTH2 by a token
// of an application [D
// how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth].
type submissionServer struct {
	d        *Double
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	offer    SubmissionOffer
	served   atomic.Int64 // connections so far
}

// SubmissionOffer is what the submission server announces in place of Exchange's list
// [I MailKit#1770].
type SubmissionOffer struct {
	Without   []string `json:"without,omitempty"`   // words of EHLO that are left out, such as STARTTLS
	Size      int64    `json:"size,omitempty"`      // = 157286400
	Untrusted bool     `json:"untrusted,omitempty"` // the certificate is one that nobody signed
}

// StartSubmission serves SMTP submission at addr, with the rules of Start.
func (d *Double) StartSubmission(addr string) error {
	addr, err := loopback(addr)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := d.submission
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = l.Close()
		return fmt.Errorf("already listening on %s", s.listener.Addr())
	}
	s.listener = l
	go s.serve(l)
	return nil
}

// SubmissionAddress is where SMTP submission is, such as 127.0.0.1:587; empty before
// StartSubmission.
func (d *Double) SubmissionAddress() string {
	d.submission.mu.Lock()
	defer d.submission.mu.Unlock()
	if d.submission.listener == nil {
		return ""
	}
	return d.submission.listener.Addr().String()
}

// Submissions is how many connections the submission server had.
func (d *Double) Submissions() int { return int(d.submission.served.Load()) }

// SetSubmission changes what the submission server announces to the next connections.
func (d *Double) SetSubmission(o SubmissionOffer) {
	d.submission.mu.Lock()
	defer d.submission.mu.Unlock()
	d.submission.offer = o
}

// SetSMTPAuth switches SMTP AUTH on or off, at once: for mailboxes, whose own setting
// outweighs that of the tenant, or without any for the tenant [D
// authenticated-client-smtp-submission]. At first it is on.
func (d *Double) SetSMTPAuth(on bool, mailboxes ...string) {
	d.tenant.change(func(t *tenant) {
		if len(mailboxes) == 0 {
			t.noSMTP = !on
		}
		for _, m := range mailboxes {
			t.smtp[fold(m)] = on
		}
	})
}

func (s *submissionServer) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		offer := s.offer
		s.mu.Unlock()
		s.served.Add(1)
		go func() {
			defer func() {
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			(&submission{d: s.d, conn: conn, in: bufio.NewReaderSize(conn, 64<<10), offer: offer}).run()
		}()
	}
}

func (s *submissionServer) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	if s.listener != nil {
		return s.listener.Close()
	}
	return nil
}

// submission is one session.
type submission struct {
	d     *Double
	conn  net.Conn
	in    *bufio.Reader
	offer SubmissionOffer

	secure bool
	user   string // folded; empty before AUTH
	from   *string
	to     []string
}

// errOver ends a session.
var errOver = errors.New("over")

func (s *submission) run() {
	err := s.say("submission", 220, "sandbox.prod.outlook.com Microsoft ESMTP MAIL Service ready (not Microsoft)")
	for err == nil {
		var line string
		if line, err = s.line(); err == nil {
			err = s.command(line)
		}
	}
}

func (s *submission) line() (string, error) {
	line, err := s.in.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}

// reply writes one reply, of several lines where the text has them.
func (s *submission) reply(code int, text string) error {
	lines := strings.Split(text, "\n")
	var b strings.Builder
	for i, l := range lines {
		b.WriteString(strconv.Itoa(code) + map[bool]string{true: " ", false: "-"}[i == len(lines)-1] + l + "\r\n")
	}
	_, err := io.WriteString(s.conn, b.String())
	return err
}

// say replies under the fault script of an endpoint.
func (s *submission) say(endpoint string, code int, text string) error {
	f := s.d.faults.take(endpoint, s.user, nil)
	if f == nil {
		return s.answer(endpoint, code, text)
	}
	return s.play(endpoint, f)
}

func (s *submission) answer(endpoint string, code int, text string) error {
	s.d.gauges.answered(endpoint, code)
	if code >= 400 {
		s.d.store.refuse(Refusal{At: s.d.o.Now(), Endpoint: endpoint, Mailbox: s.user, Status: code, Message: text})
		s.d.log.Info("refused", "endpoint", endpoint, "mailbox", s.user, "reply", strconv.Itoa(code)+" "+text)
	}
	return s.reply(code, text)
}

func (s *submission) play(endpoint string, f *Fault) error {
	if !s.d.sleep(f.Latency) || f.Drop != DropNever {
		return errOver
	}
	if f.Body != "" {
		_, err := io.WriteString(s.conn, f.Body)
		return err
	}
	return s.answer(endpoint, f.Status, strings.TrimSpace(f.Code+" "+or(f.Message, "Scripted by the sandbox.")))
}

func (s *submission) command(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		return s.reply(250, s.announce())
	case "STARTTLS":
		return s.startTLS()
	case "AUTH":
		return s.auth(rest)
	case "MAIL":
		return s.mail(rest)
	case "RCPT":
		return s.rcpt(rest)
	case "DATA":
		return s.data()
	case "RSET":
		s.from, s.to = nil, nil
		return s.reply(250, "2.0.0 Resetting")
	case "NOOP":
		return s.reply(250, "2.0.0 OK")
	case "QUIT":
		_ = s.reply(221, "2.0.0 Service closing transmission channel")
		return errOver
	}
	return s.reply(500, "5.3.3 Unrecognized command")
}

func (s *submission) announce() string {
	words := []string{"sandbox.prod.outlook.com Hello", "SIZE " + strconv.FormatInt(or(s.offer.Size, 157286400), 10),
		"PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8"}
	if s.secure {
		words[5] = "AUTH LOGIN XOAUTH2" // after STARTTLS it is offered no more
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool {
		word, _, _ := strings.Cut(w, " ")
		return slices.Contains(s.offer.Without, word)
	}), "\n")
}

func (s *submission) startTLS() error {
	if s.secure {
		return s.reply(503, "5.5.2 Only one STARTTLS command can be issued per session")
	}
	if err := s.reply(220, "2.0.0 SMTP server ready"); err != nil {
		return err
	}
	cfg := s.d.authority.serverConfig()
	if s.offer.Untrusted {
		other, err := newAuthority(s.d.o.Now())
		if err != nil {
			return err
		}
		cfg = other.serverConfig()
	}
	conn := tls.Server(s.conn, cfg)
	s.conn, s.in, s.secure = conn, bufio.NewReaderSize(conn, 64<<10), true // what came before is no command
	return conn.Handshake()
}

// auth reads user=...^Aauth=Bearer ...^A^A.
func (s *submission) auth(rest string) error {
	if !s.secure {
		return s.reply(530, "5.7.57 Client not authenticated to send mail.")
	}
	mechanism, initial, _ := strings.Cut(rest, " ")
	if !strings.EqualFold(mechanism, "XOAUTH2") {
		return s.reply(504, "5.7.4 Unrecognized authentication type")
	}
	if initial == "" {
		if err := s.reply(334, ""); err != nil {
			return err
		}
		var err error
		if initial, err = s.line(); err != nil {
			return err
		}
	}
	raw, err := base64.StdEncoding.DecodeString(initial)
	user, rest, ok := strings.Cut(strings.TrimPrefix(string(raw), "user="), "\x01")
	token, end := strings.CutSuffix(strings.TrimPrefix(rest, "auth="), "\x01\x01")
	if err != nil || !ok || !end {
		return s.reply(501, "5.5.4 Invalid arguments")
	}
	s.user = fold(user)
	code, text := s.d.mayLogIn(s.user, token)
	if err := s.say("submissionAuth", code, text); err != nil {
		return err
	}
	if code != 235 {
		s.user = ""
	}
	return nil
}

// mayLogIn checks the switch, the token and the right. The texts are those that people
// report [I email-oauth2-proxy#193, MailKit#1712, EOP#271].
func (d *Double) mayLogIn(mailbox, token string) (int, string) {
	const refused = "5.7.3 Authentication unsuccessful [sandbox.prod.outlook.com]"
	tenantOff, off := d.tenant.smtpOff(mailbox)
	switch why := d.tokens.checkFor(token, isOutlook); {
	case why != nil || !d.tenant.exists(mailbox):
		return 535, refused
	case off && tenantOff:
		return 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. " +
			"Visit https://aka.ms/smtp_auth_disabled for more information. [sandbox.prod.outlook.com]"
	case off:
		return 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. " +
			"Visit https://aka.ms/smtp_auth_disabled for more information. [sandbox.prod.outlook.com]"
	}
	right := []string{"SMTP.SendAsApp"}
	access, modelled := d.tenant.effective(d.propagated())
	switch {
	case modelled && !access.assigned(right, mailbox):
		return 430, "4.2.0 STOREDRV; mailbox logon failure; the service principal has no right to the mailbox " +
			"[sandbox.prod.outlook.com]"
	case !modelled && (!d.tenant.permits(mailbox) || !d.tenant.has(right...)):
		return 535, refused
	}
	return 235, "2.7.0 Authentication successful"
}

// smtpOff reports whether SMTP AUTH is off for a mailbox, and whether for the tenant.
func (t *tenant) smtpOff(mailbox string) (tenant, off bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if on, own := t.smtp[mailbox]; own {
		return false, !on
	}
	return t.noSMTP, t.noSMTP
}

// path reads <address> and the parameters behind it.
func path(rest, keyword string) (address, parameters string, ok bool) {
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return "", "", false
	}
	inside, ok := strings.CutPrefix(strings.TrimSpace(rest[len(keyword):]), "<")
	end := strings.LastIndexByte(inside, '>')
	if !ok || end < 0 {
		return "", "", false
	}
	return inside[:end], inside[end+1:], true
}

func (s *submission) mail(rest string) error {
	from, parameters, ok := path(rest, "FROM:")
	switch {
	case s.user == "":
		return s.reply(530, "5.7.57 Client not authenticated to send mail.")
	case !ok || s.from != nil:
		return s.reply(501, "5.5.4 Invalid arguments")
	}
	for p := range strings.FieldsSeq(parameters) {
		size, is := strings.CutPrefix(strings.ToUpper(p), "SIZE=")
		if n, err := strconv.ParseInt(size, 10, 64); is && (err != nil || n > or(s.offer.Size, 157286400)) {
			return s.say("submissionMail", 552, "5.3.4 Message size exceeds fixed maximum message size")
		}
	}
	s.from, s.to = &from, nil
	return s.say("submissionMail", 250, "2.1.0 Sender OK")
}

func (s *submission) rcpt(rest string) error {
	to, _, ok := path(rest, "TO:")
	if s.from == nil || !ok || !strings.Contains(to, "@") {
		return s.reply(501, "5.5.4 Invalid arguments")
	}
	s.to = append(s.to, to)
	return s.say("submissionRcpt", 250, "2.1.5 Recipient OK")
}

// data takes one message, and records it before it says so.
func (s *submission) data() error {
	if s.from == nil || len(s.to) == 0 {
		return s.reply(503, "5.5.2 Need rcpt command")
	}
	f := s.d.faults.take("submissionData", s.user, nil)
	if f != nil && f.Drop == DropHeaders {
		return errOver
	}
	if err := s.reply(354, "Start mail input; end with <CRLF>.<CRLF>"); err != nil {
		return err
	}
	in := &incoming{Message: Message{Mailbox: s.user, Form: "submission", ReversePath: *s.from}}
	if err := s.receive(in, f); err != nil {
		return err
	}
	in.Recipients, s.from = s.to, nil
	if f != nil && f.replaces() {
		return s.play("submissionData", f)
	}
	if !s.d.mayBeFrom(s.user, &in.Message) || !s.d.maySubmitAs(s.user, in.ReversePath) {
		return s.answer("submissionData", 554, "5.2.252 SendAsDenied; "+s.user+" not allowed to send as "+
			strings.Join(in.FromAddresses, ", ")+"; STOREDRV.Submission.Exception:SendAsDeniedException")
	}
	if !s.d.sleep(s.d.delay(f)) {
		return errOver
	}
	a := s.d.accept(&exchange{d: s.d, mailbox: s.user, requestID: newID()}, in)
	switch {
	case f != nil && f.late():
		return s.play("submissionData", f)
	case a.status >= 300:
		return s.answer("submissionData", 451, "4.3.0 Mail server temporarily rejected message")
	}
	return s.answer("submissionData", 250, "2.0.0 OK <"+in.RequestID+"@sandbox.prod.outlook.com> [Hostname=sandbox]")
}

// maySubmitAs holds the reverse-path to the rule of From; the null one is nobody.
func (d *Double) maySubmitAs(mailbox, path string) bool {
	return path == "" || d.tenant.maySay(mailbox, path)
}

// receive reads up to the final dot, which only CRLF.CRLF is.
func (s *submission) receive(in *incoming, f *Fault) error {
	sink := newSink(s.d.store.keepsBodies())
	start := true
	for {
		line, err := s.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if start && bytes.Equal(line, []byte(".\r\n")) {
			break
		}
		if start && len(line) > 1 && line[0] == '.' {
			line = line[1:]
		}
		start = bytes.HasSuffix(line, []byte("\r\n"))
		_, _ = sink.Write(line)
		if f != nil && f.Drop == DropPartial && sink.size >= f.DropAfter {
			s.d.sleep(f.Latency)
			return errOver
		}
	}
	in.Size, in.SHA256, in.raw = sink.size, sink.sum(), sink.body()
	recognise(&in.Message, sink.header.Bytes(), in.raw, !s.d.store.keepsBodies())
	return nil
}
