package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Received is a message in the Inbox of a mailbox. Nothing here can mark it as read,
// move or delete it: an application that tries finds no such operation.
type Received struct {
	ID      string
	Mailbox string
	At      time.Time
	Raw     []byte
}

// inbox holds what was received, until Reset.
type inbox struct {
	mu    sync.Mutex
	count int
	mail  []letter

	delivered []int // counts of those that were sent here
}

// letter is a message that was received, and how searches see it.
type letter struct {
	Received
	folder string
	mailItem
}

// Receive puts a message into the Inbox of a mailbox, as if it had come at a time;
// zero is now.
func (d *Double) Receive(mailbox string, raw []byte, at time.Time) {
	if at.IsZero() {
		at = d.o.Now()
	}
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	d.inbox.receive(mailbox, "inbox", raw, at)
}

// Junk is Receive for the folder Junk Email.
func (d *Double) Junk(mailbox string, raw []byte) {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	d.inbox.receive(mailbox, "junkemail", raw, d.o.Now())
}

// receive is Receive into a folder, with the lock held.
func (in *inbox) receive(mailbox, folder string, raw []byte, at time.Time) {
	in.count++
	r := Received{
		ID: inboxID(in.count), Mailbox: fold(mailbox),
		At: at.UTC().Truncate(time.Second), Raw: raw,
	}
	header := string(headerBlock(raw))
	in.mail = append(in.mail, letter{r, folder, mailItem{
		id: r.ID, messageID: fieldOf(header, "Message-ID"), subject: fieldOf(header, "Subject"),
		from: fieldOf(header, "From"), sent: r.At, received: r.At, header: header,
	}})
}

// maxDelivered bounds the mail that deliver leaves in all mailboxes together.
const maxDelivered = 1000

// deliver puts a message that was accepted into the Inbox of each recipient that is a mailbox:
// the one that sent it, or one that Options.Mailboxes or SetMailboxes names.
func (d *Double) deliver(m Message) {
	for _, to := range m.Recipients {
		if to = fold(to); d.lost.Load() || to != m.Mailbox && !d.tenant.named(to) {
			continue
		}
		raw, err := d.Delivered(m.ID)
		if err != nil {
			return
		}
		d.inbox.mu.Lock()
		d.inbox.receive(to, "inbox", raw, d.o.Now())
		if d.inbox.delivered = append(d.inbox.delivered, d.inbox.count); len(d.inbox.delivered) > maxDelivered {
			oldest := inboxID(d.inbox.delivered[0])
			d.inbox.delivered = d.inbox.delivered[1:]
			d.inbox.mail = slices.DeleteFunc(d.inbox.mail, func(l letter) bool { return l.ID == oldest })
		}
		d.inbox.mu.Unlock()
	}
}

func inboxID(n int) string { return fmt.Sprintf("AAMkInbox%08dAA=", n) }

// SetLost makes mail that is accepted from now on arrive nowhere.
func (d *Double) SetLost(lost bool) { d.lost.Store(lost) }

// Inbox lists what a mailbox has received.
func (d *Double) Inbox(mailbox string) (list []Received) {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	for _, l := range d.inbox.mail {
		if l.Mailbox == fold(mailbox) && l.folder == "inbox" {
			list = append(list, l.Received)
		}
	}
	return list
}

// Bounce delivers an NDR about a message that was sent into the mailbox that sent it
// [D outlook-things-to-know-about-send-mail], in one of Shapes or Lookalikes; it names
// these recipients, or all.
func (d *Double) Bounce(id int, shape string, recipients ...string) error {
	m, ok := d.Message(id)
	raw, err := d.Raw(id)
	if !ok || err != nil {
		return fmt.Errorf("message %d is not kept", id)
	}
	if len(recipients) == 0 {
		recipients = m.Recipients
	}
	ndr, err := NDR(shape, Bounced{
		Mailbox: m.Mailbox, Header: headerOf(m, raw), MessageID: m.MessageID, To: recipients, At: d.o.Now().UTC(),
	})
	if err == nil {
		d.Receive(m.Mailbox, ndr, time.Time{})
	}
	return err
}

// headerOf is what an NDR returns of a message: its header as it was delivered.
func headerOf(m Message, raw []byte) string {
	if m.Form == "mime" || m.Form == "submission" {
		header := bytes.TrimRight(headerBlock(withoutBcc(raw)), "\r\n")
		return strings.ReplaceAll(string(header), "\r\n", "\n") + "\n"
	}
	var r struct {
		InternetMessageHeaders []struct{ Name, Value string }
	}
	_ = json.Unmarshal(raw, &r) // without them it has none
	header := "From: " + m.From + "\nTo: " + strings.Join(m.To, ", ") + "\nMessage-ID: " + m.MessageID + "\n"
	for _, h := range r.InternetMessageHeaders {
		header += h.Name + ": " + h.Value + "\n"
	}
	return header
}

// receivedItems are what came into a folder, or into all, as searches see it.
func (d *Double) receivedItems(mailbox, folder string) (list []mailItem) {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	for _, l := range d.inbox.mail {
		if l.Mailbox == mailbox && (folder == "" || folder == l.folder) {
			list = append(list, l.mailItem)
		}
	}
	return list
}

// internetHeaders is the property internetMessageHeaders [D resources/message], which
// comes only where $select names it.
func internetHeaders(header string) []any {
	list := []any{}
	for _, f := range unfolded(header) {
		if name, value, ok := strings.Cut(f, ":"); ok {
			list = append(list, map[string]string{"name": strings.TrimSpace(name), "value": strings.TrimSpace(value)})
		}
	}
	return list
}

// unfolded cuts a header block into its fields.
func unfolded(header string) (fields []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(header, "\r\n", "\n"), "\n") {
		switch {
		case line == "":
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			fields[len(fields)-1] += " " + strings.TrimSpace(line)
		default:
			fields = append(fields, line)
		}
	}
	return fields
}

func fieldOf(header, name string) string {
	for _, f := range unfolded(header) {
		n, value, ok := strings.Cut(f, ":")
		if ok && strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mimeOf is GET messages/{id}/$value: the message as it was received [D
// outlook-get-mime-message].
func (d *Double) mimeOf(x *exchange, id string) *answer {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	for _, r := range d.inbox.mail {
		if r.Mailbox == x.mailbox && r.ID == id {
			plain := map[string]string{"Content-Type": "text/plain"}
			return &answer{status: http.StatusOK, header: plain, raw: string(r.Raw)}
		}
	}
	return graphError(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}
