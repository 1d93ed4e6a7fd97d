package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/message/parts"
	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/submission"
)

// uploads is an Uploader that takes everything and remembers it.
type uploads struct {
	mu     sync.Mutex
	drafts []largemail.Draft
	text   []string // of each draft: its text and its files
	answer outcome.Answer
}

func (u *uploads) Upload(_ context.Context, _ envelope.Address, d largemail.Draft) outcome.Answer {
	text, err := io.ReadAll(d.Body.Open())
	for _, f := range d.Attachments {
		content, ferr := io.ReadAll(f.Content.Open())
		if text = append(text, " | "+f.Name+"="+string(content)...); ferr != nil {
			err = ferr
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drafts, u.text = append(u.drafts, d), append(u.text, string(text))
	if err != nil {
		return outcome.Answer{Outcome: outcome.Retry, Text: err.Error()}
	}
	return u.answer
}

// oneBody is a store that holds a single message.
type oneBody struct {
	spool.Store
	text string
	err  error
}

func (s oneBody) Open(context.Context, envelope.QueueID) (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{failingReader{bytes.NewReader([]byte(s.text)), s.err}, io.NopCloser(nil)}, nil
}

func (oneBody) MayBegin() error { return nil }

type failingReader struct {
	io.ReadSeeker
	err error
}

func (f failingReader) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.ReadSeeker.Read(p)
}

const largeText = "From: Relay <relay@contoso.com>\r\nSender: relay@contoso.com\r\n" +
	"To: A <a@example.com>, outsider@example.com\r\nCc: b@example.com\r\n" +
	"Subject: s\r\nX-Priority: 5\r\nX-Mailer: m\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n" +
	"--B\r\n\r\ntext\r\n--B\r\nContent-Type: a/b; name=f\r\n\r\nfile\r\n--B--\r\n"

// tryLarge makes one attempt with a message of largeText.
func tryLarge(t *testing.T, text string, r Route, storeErr error) (outcome.Answer, bool) {
	t.Helper()
	d := New(Config{Store: oneBody{text: text, err: storeErr}, Route: func(envelope.Address) (Route, bool) {
		return r, true
	}, Now: time.Now})
	rec := spool.Record{Message: spool.Message{ID: "q1", Mailbox: mustAddress(t, "relay@contoso.com"),
		From: mustAddress(t, "relay@contoso.com"), MessageID: "<1@x>", Size: int64(len(text)),
		Envelope: envelope.Envelope{Recipients: []envelope.Address{mustAddress(t, "a@example.com"),
			mustAddress(t, "b@example.com"), mustAddress(t, "blind@example.com")}}}, Attempts: 2}
	a := answer{pending: pending{rec: rec}}
	d.send(r, &a)
	if a.panicked {
		t.Error("panic")
	}
	return a.Answer, a.damaged
}

func mustAddress(t *testing.T, s string) envelope.Address {
	t.Helper()
	a, err := envelope.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLargeMailGoesInParts(t *testing.T) {
	u := &uploads{answer: sent}
	ans, _ := tryLarge(t, largeText, Route{Sender: newDouble(0), Large: InParts(u), MIMELimit: 100}, nil)
	if ans.Outcome != outcome.Delivered || len(u.drafts) != 1 {
		t.Fatalf("%+v", ans)
	}
	d := u.drafts[0]
	got := fmt.Sprintln(d.ID, d.Again, d.Subject, d.MessageID, d.From, d.Sender, d.To, d.Cc, d.Bcc, d.Importance,
		d.Headers, u.text)
	want := "q1 true s <1@x> {Relay relay@contoso.com} { } [{A a@example.com}] [{ b@example.com}] " +
		"[{ blind@example.com}] low [{X-Mailer m}] [text | f=file]\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLargeMailByLimitAndByAnswer(t *testing.T) {
	s, u := newDouble(0), &uploads{answer: sent}
	s.answer = func(envelope.Address, envelope.QueueID, int) outcome.Answer {
		return outcome.Answer{Outcome: outcome.TooLarge}
	}
	if ans, _ := tryLarge(t, largeText, Route{Sender: s, Large: InParts(u), MIMELimit: 1 << 20},
		nil); ans.Outcome != outcome.Delivered || len(s.tries) != 1 || len(u.drafts) != 1 ||
		ans.Requests != 1 || ans.Uploaded < int64(len(largeText))*4/3 {
		t.Errorf("%+v after %d requests and %d drafts; what the first one cost counts too", ans, len(s.tries),
			len(u.drafts))
	}
	if ans, _ := tryLarge(t, largeText, Route{Sender: s, MIMELimit: 1 << 20}, nil); ans.Outcome != outcome.TooLarge ||
		len(s.tries) != 2 {
		t.Errorf("without an uploader: %+v", ans)
	}
}

// Large mail that was accepted while it could be uploaded is held when the
// configuration takes that away: it neither bounces nor says anything of Graph,
// and goes out when it is released under one that sends it.
func TestLargeMailIsHeldWhenUploadIsTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		u := &uploads{answer: sent}
		route := Route{Identity: "contoso", Sender: r.graph, MIMELimit: 100}
		r.cfg.Route = func(envelope.Address) (Route, bool) { return route, true }
		box := addr(t, "relay@contoso.com")
		id := r.store.putBody(largeText, box, box, func(r *spool.Record) { r.Size = int64(len(largeText)) })
		r.start()
		r.wait(time.Minute)
		m := r.store.get(id)
		if m.State != spool.Held || m.LastStatus != (reply.Enhanced{4, 3, 4}) ||
			!strings.Contains(m.LastText, "large_messages: upload again") || r.graph.count() != 0 {
			t.Errorf("%+v after %d requests", m, r.graph.count())
		}
		route.Large = InParts(u) // as after a reload
		r.again(id, "release")
		r.wait(time.Minute)
		if r.wantState(id, spool.Sent); len(u.drafts) != 1 {
			t.Errorf("%d drafts after the release", len(u.drafts))
		}
		r.stop()
		if (Route{Large: InParts(u), MIMELimit: 100}).stranded(101) || !(Route{MIMELimit: 100}).stranded(101) ||
			(Route{MIMELimit: 100}).stranded(100) {
			t.Error("stranded is what has no way left")
		}
		a := answer{pending: pending{rec: m}, identity: &pace.Identity{Name: "contoso"}, Answer: noLongerSent(101, 100)}
		if keys := cleared(a, Decision{State: spool.Held}); keys != nil {
			t.Errorf("Graph was not asked, and the holds %v are called wrong", keys)
		}
	})
}

func TestSealedLargeMailBounces(t *testing.T) {
	u := &uploads{answer: sent}
	text := strings.Replace(largeText, "multipart/mixed", "multipart/signed", 1)
	ans, _ := tryLarge(t, text, Route{Sender: newDouble(0), Large: InParts(u), MIMELimit: 100}, nil)
	if ans.Outcome != outcome.Bounce || ans.Status != (reply.Enhanced{5, 3, 4}) ||
		!strings.Contains(ans.Detail, parts.ErrSealed.Error()) || ans.Advice == "" || len(u.drafts) != 0 {
		t.Errorf("%+v", ans)
	}
	if ans, _ := tryLarge(t, largeText, Route{Sender: newDouble(0), Large: InParts(u), MIMELimit: 100}, nil); //
	ans.Outcome != outcome.Delivered || len(u.drafts) != 1 {
		t.Errorf("unsigned: %+v", ans)
	}
	s := &submits{}
	if ans, _ := tryLarge(t, text, Route{Sender: newDouble(0), Large: Whole(s), MIMELimit: 100}, nil); //
	ans.Outcome != outcome.Delivered || s.text != text {
		t.Errorf("whole: %+v, %q", ans, s.text)
	}
}

// TestSmallMailPassesLargeMailThatTakesLong: submissions take no slot from mail that goes by
// Graph, though it is of the same client, and no more of them are under way than slots.
func TestSmallMailPassesLargeMailThatTakesLong(t *testing.T) {
	for _, slots := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 0)
			s := &slow{takes: 10 * time.Minute}
			r.cfg.Route = func(envelope.Address) (Route, bool) {
				return Route{Identity: "contoso", Sender: r.graph, Large: Whole(s), MIMELimit: 100,
					MaxConcurrent: slots}, true
			}
			box := addr(t, "relay@contoso.com")
			var large []envelope.QueueID
			for range 40 {
				large = append(large, r.store.putBody(largeText, box, box, func(rec *spool.Record) {
					rec.Size = int64(len(largeText))
				}))
			}
			r.start()
			r.wait(time.Second)
			for range 5 {
				id := r.arrive(box)
				r.wait(time.Second)
				r.wantState(id, spool.Sent)
			}
			r.wait(10 * time.Hour)
			for _, id := range large {
				r.wantState(id, spool.Sent)
			}
			if s.most != slots {
				t.Errorf("%d submissions at a time, want %d", s.most, slots)
			}
			r.stop()
		})
	}
}

// slow is a Submitter that takes its time.
type slow struct {
	takes     time.Duration
	mu        sync.Mutex
	now, most int
}

func (s *slow) Submit(context.Context, envelope.Address, submission.Mail) outcome.Answer {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	a := sent
	a.Apart = true
	return a
}

// submits is a Submitter that takes everything and remembers it.
type submits struct{ text string }

func (s *submits) Submit(_ context.Context, _ envelope.Address, m submission.Mail) outcome.Answer {
	r, err := m.Open()
	if err != nil {
		return outcome.Answer{Outcome: outcome.Retry, Text: err.Error()}
	}
	defer r.Close()
	text, _ := io.ReadAll(r)
	s.text = string(text)
	return sent
}

func TestLargeMailOfTooManyPartsGoesAsAnArchive(t *testing.T) {
	u := &uploads{answer: sent}
	route := Route{Sender: newDouble(0), Large: InParts(u), MIMELimit: 100}
	const file = "--B\r\nContent-Type: a/b; name=f\r\n\r\nfile\r\n"
	many := strings.Replace(largeText, file, strings.Repeat(file, 1001), 1)
	if ans, _ := tryLarge(t, many, route, nil); ans.Outcome != outcome.Bounce ||
		ans.Advice != "pack the files into an archive" || len(u.drafts) != 0 {
		t.Errorf("%+v", ans)
	}
	if ans, _ := tryLarge(t, largeText, route, nil); ans.Outcome != outcome.Delivered || len(u.drafts) != 1 {
		t.Errorf("as one file: %+v", ans)
	}
}

func TestLargeMailThatCannotBeRead(t *testing.T) {
	r := Route{Sender: newDouble(0), Large: InParts(&uploads{answer: sent}), MIMELimit: 100}
	if ans, damaged := tryLarge(t, largeText, r, fmt.Errorf("%w: chunk 0", spool.ErrDamaged)); !damaged ||
		ans.Outcome == outcome.Delivered {
		t.Errorf("%+v, damaged %v", ans, damaged)
	}
	if ans, damaged := tryLarge(t, largeText, r, io.ErrUnexpectedEOF); damaged || ans.Outcome != outcome.Retry {
		t.Errorf("%+v, damaged %v", ans, damaged)
	}
}

// What cannot be placed reaches the recipients in the original, which replaces the
// files that are in it; the history and the log say why.
func TestDamagedLargeMailCarriesTheOriginal(t *testing.T) {
	u := &uploads{answer: sent}
	const part = "--B\r\nContent-Type: a/b; name=f\r\n"
	text := strings.Replace(largeText, part, part+"*** checked ***\r\nContent-ID: <f>\r\n", 1)
	text = strings.Replace(text, "Subject: s\r\n", "Subject: s\r\nBcc: blind@example.com\r\n", 1)
	r := Route{Sender: newDouble(0), Large: InParts(u), MIMELimit: 100}
	ans, _ := tryLarge(t, text, r, nil)
	original := strings.Replace(text, "Bcc: blind@example.com\r\n", "", 1)
	if want := "text | original-message.eml=" + original; ans.Outcome != outcome.Delivered || u.text[0] != want {
		t.Errorf("%+v: got\n%s\nwant\n%s", ans, u.text[0], want)
	}
	const note = "the original is attached, for not all of it could be read: part 2: a line in its header is no field"
	if !strings.Contains(ans.Detail, note) || ans.Damaged != "original_attached" {
		t.Errorf("%q, %q", ans.Detail, ans.Damaged)
	}
	ans, _ = tryLarge(t, strings.Replace(largeText, "boundary=B", "boundary=C", 1), r, nil)
	if u.text[1] != "text | f=file" || ans.Damaged != "repaired" ||
		!strings.Contains(ans.Detail, "some of its delimiters are not those") {
		t.Errorf("%q, %+v", u.text[1], ans)
	}
}
