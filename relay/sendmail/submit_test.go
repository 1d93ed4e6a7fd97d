package sendmail

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/envelope"
)

// double is an SMTP server of one connection. It answers with replies, by the
// first word or the whole of a command, or with 2xx and 354; a reply of "" hangs up.
type double struct {
	replies map[string]string
	max     int // recipients a transaction
	log     []string
	done    chan struct{}
}

func serve(t *testing.T, d *double) net.Conn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	d.done = make(chan struct{})
	go func() {
		defer close(d.done)
		defer l.Close()
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		d.talk(nc)
	}()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

func (d *double) talk(nc net.Conn) {
	in := bufio.NewReader(nc)
	if !d.answer(nc, "connect", "220 double") {
		return
	}
	rcpts := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		d.log = append(d.log, line)
		fallback := "250 2.0.0 ok"
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			fallback = "250-double\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1000"
		case "MAIL":
			rcpts = 0
		case "RCPT":
			if rcpts++; d.max > 0 && rcpts > d.max {
				fallback = "452 4.5.3 too many"
			}
		case "DATA":
			fallback = "354 go on"
		}
		if !d.answer(nc, line, fallback) {
			return
		}
		if why, ok := d.replies["body"]; ok && line == "DATA" {
			fmt.Fprint(nc, why+"\r\n")
			return
		}
		if line == "DATA" && d.replies["DATA"] == "" {
			d.log = append(d.log, body(in))
			if !d.answer(nc, ".", "250 2.0.0 abc accepted") {
				return
			}
		}
	}
}

func body(in *bufio.Reader) string {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n.\r\n") {
		c, err := in.ReadByte()
		if err != nil {
			return b.String() + " cut off"
		}
		b.WriteByte(c)
	}
	return strings.TrimSuffix(b.String(), ".\r\n")
}

func (d *double) answer(nc net.Conn, line, fallback string) bool {
	verb, _, _ := strings.Cut(line, " ")
	for _, key := range []string{line, verb} {
		if reply, ok := d.replies[key]; ok {
			fallback = reply
			break
		}
	}
	if fallback != "" {
		fmt.Fprint(nc, fallback+"\r\n")
	}
	return fallback != ""
}

// submit sends text to the recipients through d and waits for its end.
func submit(t *testing.T, d *double, text string, to ...string) Outcome {
	t.Helper()
	nc := serve(t, d)
	m := read(t, text, true)
	h, err := m.Header()
	if err != nil {
		t.Fatal(err)
	}
	var l List
	l.AddArgument(strings.Join(to, ","))
	o := Submit(nc, "web01.example.org", m.Letter(h, account.Address(), l.Good, "", account.Address()))
	<-d.done
	return o
}

func (o Outcome) err() error {
	if len(o.Failed) == 0 {
		return nil
	}
	return &Undelivered{o.Failed}
}

const letter = "From: a@example.org\n\nhi\n"

func TestSubmitDialog(t *testing.T) {
	d := &double{}
	o := submit(t, d, letter, "root", `"a b"@example.org`)
	want := []string{
		"EHLO web01.example.org",
		"MAIL FROM:<alice@web01.example.org> BODY=8BITMIME SIZE=27",
		"RCPT TO:<root>",
		`RCPT TO:<"a b"@example.org>`,
		"DATA",
		"From: a@example.org\r\n\r\nhi\r\n",
		"QUIT",
	}
	if !slices.Equal(d.log, want) {
		t.Errorf("dialog:\n%s", strings.Join(d.log, "\n"))
	}
	if len(o.Reached) != 2 || len(o.Failed) > 0 || len(o.Replies) != 1 || o.Replies[0] != "250 2.0.0 abc accepted" {
		t.Errorf("%+v", o)
	}
}

func TestSubmitAnnouncesUTF8WhereItMust(t *testing.T) {
	const old = "250 double"
	for name, c := range map[string]struct {
		text, to, ehlo string
		announced      bool
		code           int
	}{
		"ASCII":                          {letter, "a@b", "", false, 0},
		"8-bit body":                     {letter + "ü\n", "a@b", "", false, 0},
		"8-bit header":                   {"Subject: ü\n" + letter, "a@b", "", true, 0},
		"Latin-1 header":                 {"Subject: \xfc\n" + letter, "a@b", "", false, 0},
		"8-bit header to an old server":  {"Subject: ü\n" + letter, "a@b", old, false, 0},
		"8-bit address":                  {letter, "ü@b", "", true, 0},
		"8-bit domain":                   {letter, "a@bücher.example", "", false, 0},
		"8-bit address to an old server": {letter, "ü@b", old, false, ExitData},
	} {
		d := &double{replies: map[string]string{}}
		if c.ehlo != "" {
			d.replies["EHLO"] = c.ehlo
		}
		err := submit(t, d, c.text, c.to).err()
		if got := strings.Contains(strings.Join(d.log, "\n"), " SMTPUTF8"); got != c.announced ||
			ExitCode(err) != c.code {
			t.Errorf("%s: announced %v, want %v; %v", name, got, c.announced, err)
		}
	}
}

// 452 4.5.3 asks for the rest in another transaction, however often.
func TestSubmitInTurns(t *testing.T) {
	d := &double{max: 2}
	o := submit(t, d, letter, "a@x", "b@x", "c@x", "d@x", "e@x")
	if len(o.Reached) != 5 || len(o.Failed) > 0 || len(o.Replies) != 3 {
		t.Errorf("%+v\n%s", o, strings.Join(d.log, "\n"))
	}
}

func TestSubmitRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		replies map[string]string
		reached int
		code    int
		text    string
	}{
		"at connect": {map[string]string{"connect": "554 5.7.1 not you"}, 0, ExitNoPerm, "554 5.7.1 not you"},
		"busy":       {map[string]string{"connect": "421 4.7.0 busy"}, 0, ExitTemporary, "421 4.7.0"},
		"silent": {map[string]string{"connect": ""}, 0, ExitTemporary,
			"the connection to the relay broke (EOF)"},
		"no SMTP":            {map[string]string{"connect": "hello"}, 0, ExitTemporary, "broke"},
		"HELO only":          {map[string]string{"EHLO": "502 what"}, 2, 0, ""},
		"sender not allowed": {map[string]string{"MAIL": "550 5.7.1 no"}, 0, ExitNoPerm, "for a@x, b@x"},
		"sender malformed":   {map[string]string{"MAIL": "501 5.1.7 no"}, 0, ExitData, ""},
		"too large":          {map[string]string{"MAIL": "552 5.3.4 large"}, 0, ExitUnavailable, ""},
		"disk full":          {map[string]string{"MAIL": "452 4.3.1 full"}, 0, ExitTemporary, ""},
		"one recipient":      {map[string]string{"RCPT TO:<a@x>": "550 5.1.2 no domain"}, 1, ExitNoUser, "for a@x"},
		"one, no code":       {map[string]string{"RCPT TO:<a@x>": "550 no"}, 1, ExitNoUser, ""},
		"one, not allowed":   {map[string]string{"RCPT TO:<b@x>": "550 5.7.1 no"}, 1, ExitNoPerm, "for b@x"},
		"one, later":         {map[string]string{"RCPT TO:<b@x>": "451 4.3.0 no"}, 1, ExitTemporary, ""},
		"later beats never": {map[string]string{"RCPT TO:<a@x>": "451 4.3.0 a", "RCPT TO:<b@x>": "550 5.1.1 b"}, 0,
			ExitNoUser, "a, and did not accept the message for a@x; the relay replied 550"},
		"too many at once":   {map[string]string{"RCPT": "452 4.5.3 no"}, 0, ExitTemporary, ""},
		"hung up at a":       {map[string]string{"RCPT TO:<b@x>": ""}, 0, ExitTemporary, "broke"},
		"DATA":               {map[string]string{"DATA": "451 4.3.0 no"}, 0, ExitTemporary, ""},
		"bad message":        {map[string]string{".": "550 5.6.0 header"}, 0, ExitData, "5.6.0 header"},
		"From not allowed":   {map[string]string{".": "550 5.7.1 From"}, 0, ExitNoPerm, ""},
		"not stored":         {map[string]string{".": "451 4.3.0 no"}, 0, ExitTemporary, ""},
		"hung up at the dot": {map[string]string{".": ""}, 0, ExitTemporary, "broke"},
		"two lines": {map[string]string{".": "554-5.3.0 one\r\n554 5.3.0 two"}, 0, ExitUnavailable,
			"554 5.3.0 one"},
		"control codes": {map[string]string{".": "554 5.3.0 \x1b[31mred\u202e"}, 0, ExitUnavailable,
			"?[31mred?,"},
		"a number, not a code": {map[string]string{".": "554 12.5 apples"}, 0, ExitUnavailable, "554 12.5 apples"},
	} {
		o := submit(t, &double{replies: c.replies}, letter, "a@x", "b@x")
		err := o.err()
		if len(o.Reached) != c.reached || len(o.Reached)+len(o.Failed) != 2 || ExitCode(err) != c.code {
			t.Errorf("%s: reached %d, exit %d, want %d and %d: %v", name, len(o.Reached), ExitCode(err), c.reached,
				c.code, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %q does not say %q", name, err, c.text)
		}
	}
}

// A large message goes through whole, and the final dot only after all of it.
func TestSubmitLarge(t *testing.T) {
	text := letter + strings.Repeat(".0123456789abcde\n", 2*inMemory/16)
	d := &double{}
	if o := submit(t, d, text, "a@x"); len(o.Reached) != 1 {
		t.Fatalf("%+v", o)
	}
	want := strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\r\n"), "\r\n.", "\r\n..")
	if got := d.log[len(d.log)-2]; got != want {
		t.Errorf("%d octets arrive, want %d", len(got), len(want))
	}
}

// A relay that hangs up in the middle of a message may have said why.
func TestSubmitReadsTheLastWord(t *testing.T) {
	text := letter + strings.Repeat("0123456789abcde\n", 4*inMemory/16)
	for reply, want := range map[string]int{"552 5.3.4 too large": ExitUnavailable, "451 4.3.0 disk": ExitTemporary,
		"": ExitTemporary} {
		o := submit(t, &double{replies: map[string]string{"body": reply}}, text, "a@x")
		if err := o.err(); ExitCode(err) != want || !strings.Contains(fmt.Sprint(err), reply) {
			t.Errorf("after %q: %v", reply, err)
		}
	}
}

func TestUndeliveredNamesNotTooMany(t *testing.T) {
	var o Outcome
	o.Failed = []Failure{{Err: BadAddress("a b\x1b")}}
	for i := range 100 {
		a, _ := envelope.ParseAddress(fmt.Sprintf("u%d@example.org", i))
		o.fail([]envelope.Address{a}, &Reply{"RCPT", 550, "5.1.1", "no"})
	}
	want := `"a b\x1b" is not an address; the relay replied 550 5.1.1 no, and did not accept the message for ` +
		`u0@example.org, u1@example.org`
	if got := o.err().Error(); !strings.HasPrefix(got, want) ||
		!strings.HasSuffix(got, ", u8@example.org; and 91 more") {
		t.Error(got)
	}
	if ExitCode(o.err()) != ExitNoUser {
		t.Error("a bad address is exit code 67")
	}
}
