package bounce

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/costtest"
	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/sandbox"
)

const opaque = "0123456789abcdef0123456789abcdef"

var original = sandbox.Bounced{
	Mailbox: "box@contoso.com", MessageID: "<invoice-17@erp.contoso.local>",
	To: []string{"one@example.net", "two@example.net"},
	Header: "Received: from x\nX-Graphrelay-ID: " + opaque + "\nFrom: erp@contoso.com\nTo: one@example.net\n" +
		"Message-ID: <invoice-17@erp.contoso.local>\nSubject: Invoice\n",
	At: time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC),
}

func made(t testing.TB, shape string) []byte {
	t.Helper()
	raw, err := sandbox.NDR(shape, original)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Each shape names the message and, where it says whom it is about, each recipient with its
// fate.
func TestEveryShapeIsRead(t *testing.T) {
	shapes := sandbox.Shapes()
	if len(shapes) < 30 {
		t.Fatalf("only %d shapes", len(shapes))
	}
	for _, shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			r, err := Read(bytes.NewReader(made(t, shape)))
			if err != nil {
				t.Fatal(err)
			}
			byID := slices.Contains(r.IDs, opaque)
			byMessageID := slices.Contains(r.MessageIDs, original.MessageID)
			if !byID && !byMessageID && shape != "keyless" {
				t.Errorf("nothing leads to the message: %+v", r)
			}
			if shape == "other-message-id" && byMessageID {
				t.Error("the double has not replaced the Message-ID")
			}
			if shape == "without-status" {
				if len(r.Recipients) != 0 || r.Kind != NDR {
					t.Errorf("got %+v", r)
				}
				return
			}
			action, class := Failed, 5
			if strings.HasPrefix(shape, "delayed") {
				action, class = Delayed, 4
			}
			if len(r.Recipients) != 2 {
				t.Fatalf("it says %+v", r.Recipients)
			}
			for i, to := range r.Recipients {
				if to.Addresses[0].String() != original.To[i] || to.Action != action || to.Status[0] != class ||
					!strings.Contains(to.Diagnostic, "made for a test") || !to.At.Equal(original.At) {
					t.Errorf("it says %+v", to)
				}
			}
		})
	}
}

func TestWhatOnlyLooksLikeAnNDRIsNone(t *testing.T) {
	for _, shape := range []string{"reply", "out-of-office", "receipt", "forwarded-ndr", "sent-ndr", "newsletter"} {
		if r, err := Read(bytes.NewReader(made(t, shape))); !errors.Is(err, ErrOther) {
			t.Errorf("%s is read as %+v, %v", shape, r, err)
		}
	}
	for _, shape := range []string{"ndr-of-other-mail", "ndr-of-other-relay"} {
		r, err := Read(bytes.NewReader(made(t, shape)))
		if err != nil || slices.Contains(r.MessageIDs, original.MessageID) || slices.Contains(r.IDs, opaque) ||
			len(r.MessageIDs) == 0 {
			t.Errorf("%s is read as %+v, %v", shape, r, err)
		}
	}
	if r, err := Read(bytes.NewReader(made(t, "delivered"))); err != nil || r.Recipients[0].Action != Done {
		t.Errorf("a report of success is read as %+v, %v", r, err)
	}
	own, err := os.ReadFile(filepath.Join("..", "dsn", "testdata", "failed.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Read(bytes.NewReader(own)); err != nil || !r.Own {
		t.Errorf("a report of ours is read as %+v, %v", r, err)
	}
	if r, err := Read(bytes.NewReader(made(t, "bomb"))); err == nil || errors.Is(err, ErrOther) {
		t.Errorf("a bomb is read as %+v, %v", r, err)
	}
	for _, empty := range []string{"", "\r\n", "no header"} {
		if r, err := Read(strings.NewReader(empty)); err == nil {
			t.Errorf("%q is read as %+v", empty, r)
		}
	}
}

func TestFieldsOfAStatus(t *testing.T) {
	for _, c := range []struct {
		group string
		want  Recipient
	}{
		{"Final-Recipient: rfc822; a@b.example (comment)\nStatus: 5.1.1\n",
			Recipient{Action: Failed, Status: reply.Enhanced{5, 1, 1}}},
		{"Final-Recipient: x400;/C=de/\nAction: delayed (again)\nStatus: 4.4.7 (expired)\n",
			Recipient{Action: Delayed, Status: reply.Enhanced{4, 4, 7}}},
		{"Final-Recipient: a@b.example\nStatus: 5\nDiagnostic-Code: smtp; 550-5.7.1 no\n", Recipient{
			Addresses: addresses("a@b.example"), Action: Failed, Status: reply.Enhanced{5, 7, 1},
			Diagnostic: "550-5.7.1 no"}},
		{"Final-Recipient: rfc822;a@b.example\nAction: odd\nStatus: 4.0.0\nDiagnostic-Code: X-Notes; 10.5.1.1 down\n",
			Recipient{Addresses: addresses("a@b.example"), Action: Delayed, Status: reply.Enhanced{4, 0, 0},
				Diagnostic: "10.5.1.1 down"}},
		{"Final-Recipient: utf-8;j\\x{FC}rgen@b\\x{fc}cher.example\nAction: expanded\nRemote-MTA: dns; mx.example\n",
			Recipient{Addresses: addresses("jürgen@bücher.example"), Action: Done, Remote: "mx.example"}},
		{"Final-Recipient: rfc822;a@b.example\nOriginal-Recipient: rfc822;c@d.example\nAction: failed\n" +
			"Diagnostic-Code: smtp;no such \x1buser\nLast-Attempt-Date: nonsense\n",
			Recipient{Addresses: addresses("c@d.example", "a@b.example"), Action: Failed,
				Diagnostic: `no such \u001buser`}},
	} {
		var group []Field
		for line := range strings.SplitSeq(strings.TrimSpace(c.group), "\n") {
			name, value, _ := strings.Cut(line, ":")
			group = append(group, Field{name, strings.TrimSpace(value)})
		}
		got, ok := recipient(group)
		if !ok || !slices.EqualFunc(got.Addresses, c.want.Addresses, envelope.Address.Equal) ||
			got.Action != c.want.Action || got.Status != c.want.Status || got.Diagnostic != c.want.Diagnostic ||
			got.Remote != c.want.Remote {
			t.Errorf("%q is %+v, want %+v", c.group, got, c.want)
		}
	}
}

func addresses(list ...string) (all []envelope.Address) {
	for _, s := range list {
		all = append(all, addressOf(s))
	}
	return all
}

// No report costs more than its length to be read, and none more than MaxSize.
func TestCostOfBounces(t *testing.T) {
	head := "Return-Path: <>\r\nX-MS-Exchange-Message-Is-Ndr:\r\nContent-Type: multipart/report; boundary=b\r\n"
	read := func(in string) { _, _ = Read(strings.NewReader(in)) }
	costtest.Linear(t, []string{"a: b\r\n", " c\r\n", "\r\n", "<x>", "\x00", "In-Reply-To: <a>\r\n"},
		func(text string) string { return head + text }, read)
	nested := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	tokens := []string{"--b\r\n", "\r\n", nested, "--b--\r\n", "x", " y\r\n"}
	costtest.Linear(t, tokens, func(text string) string { return head + "\r\n" + text }, read)
	status := "\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
	costtest.Linear(t, []string{"Final-Recipient: rfc822;a@b\r\n", "\r\n", "Status: 5.1.1.1.1\r\n", " 5.", "=", "x"},
		func(text string) string { return head + status + text }, read)
	words := "\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	costtest.Linear(t, []string{"Message-ID: <", "\r\n", " ", "=\r\n", "x-graphrelay-id:", "a"},
		func(text string) string { return head + words + text }, read)
	costtest.Shape(t, "nested parts", func(size int) string {
		return head + "\r\n" + strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", size/50)
	}, read)
}

func FuzzRead(f *testing.F) {
	for _, shape := range append(sandbox.Shapes(), sandbox.Lookalikes()...) {
		f.Add(made(f, shape))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Read(bytes.NewReader(raw))
		if err != nil && (r.Kind != Other || len(r.Recipients) > 0) {
			t.Errorf("%v with %+v", err, r)
		}
		if len(r.Recipients) > maxRecipients || len(r.MessageIDs) > maxKeys || len(r.IDs) > maxKeys {
			t.Errorf("no bounds: %d %d %d", len(r.Recipients), len(r.MessageIDs), len(r.IDs))
		}
		for _, to := range r.Recipients {
			if strings.ContainsAny(to.Diagnostic+to.Remote, "\r\n\x00\x1b") || len(to.Diagnostic) > 3*maxText {
				t.Errorf("%q of %q", to.Diagnostic, to.Remote)
			}
			for _, a := range to.Addresses {
				if a.IsZero() {
					t.Error("an address of nobody")
				}
			}
		}
	})
}
