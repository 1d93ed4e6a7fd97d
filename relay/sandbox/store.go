package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Message is the record of one message that was sent, by sendMail or as a draft.
type Message struct {
	ID        int       `json:"id"`         // from 1, in the order of acceptance
	At        time.Time `json:"at"`         // when it was recorded
	Mailbox   string    `json:"mailbox"`    // whose sendMail was called, in lower case
	Form      string    `json:"form"`       // "mime", "json", "draft" or "submission"
	RequestID string    `json:"request_id"` // the request-id of its answer

	From       string   `json:"from"`       // the field as it reads, encoded words decoded
	Sender     string   `json:"sender"`     // the field
	Subject    string   `json:"subject"`    // decoded
	MessageID  string   `json:"message_id"` // with its brackets
	To         []string `json:"to"`         // addresses, as the generous reader sees them
	Cc         []string `json:"cc"`         // addresses, as the generous reader sees them
	Bcc        []string `json:"bcc"`
	Recipients []string `json:"recipients"` // who gets it: the addresses of either reading, each once

	ReversePath string `json:"reverse_path,omitempty"` // of a submission; its recipients are those of RCPT

	FromAddresses []string `json:"from_addresses"` // every address of From, in either reading
	// recipients as net/mail reads them; empty where it refuses the header
	Strict  []string `json:"strict"`
	Lenient []string `json:"lenient"` // recipients as the generous reader sees them
	Notes   []string `json:"notes"`   // what is odd, such as differing readings
	Parts   []string `json:"parts"`   // what the message is made of, one line for each part

	Attachments []Attachment `json:"attachments,omitempty"` // of a draft, in the order of their arrival

	Size   int64  `json:"size"`   // octets of MIME, of the JSON body, or of a draft with its attachments
	SHA256 string `json:"sha256"` // of the same octets, in hex
	File   string `json:"file"`   // path of the .eml or .body.json in Options.Dir; empty without

	badFrom bool
}

// store remembers messages: the newest records, their bodies as far as they
// fit, and a count for each Message-ID.
type store struct {
	keep      int
	keepBytes int64
	dir       string

	mu      sync.Mutex
	lastID  int
	total   Stats // Messages, Octets and Duplicates are kept here
	ledger  map[string]int
	kept    []kept // ascending by ID
	bodies  int64  // octets of the bodies in kept
	refused int    // requests, remembered or not
	refusal []Refusal
	changed chan struct{}
}

type kept struct {
	Message
	raw   []byte   // nil when it had to make room, or lies in dir
	files [][]byte // of a draft; nil where they did
}

func (k kept) octets() int64 {
	n := int64(len(k.raw))
	for _, f := range k.files {
		n += int64(len(f))
	}
	return n
}

func newStore(o Options) (*store, error) {
	s := &store{keep: o.Keep, keepBytes: o.KeepBytes, dir: o.Dir, ledger: map[string]int{},
		changed: make(chan struct{})}
	if o.Dir == "" {
		return s, nil
	}
	return s, os.MkdirAll(o.Dir, 0o700)
}

func (s *store) keepsBodies() bool { return s.keep > 0 || s.dir != "" }

// add records a message and wakes who waits for it. A message that could not
// be written to the folder is not recorded at all; its ID stays unused.
func (s *store) add(in *incoming) (Message, error) {
	m, raw := in.Message, in.raw
	s.mu.Lock()
	s.lastID++
	m.ID = s.lastID
	s.mu.Unlock()
	if s.dir != "" {
		if err := s.write(&m, raw); err != nil {
			return Message{}, err
		}
		raw = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.Messages++
	s.total.Octets += m.Size
	s.book(m.MessageID)
	s.remember(kept{m, raw, in.files})
	close(s.changed)
	s.changed = make(chan struct{})
	return m, nil
}

// book counts a Message-ID. The key is a copy: what a record holds is a piece of
// the whole header, which would stay in memory with it.
func (s *store) book(id string) {
	count := s.ledger[id]
	if count == 0 {
		id = strings.Clone(id)
	} else if id != "" {
		s.total.Duplicates++
	}
	s.ledger[id] = count + 1
}

// remember adds a record in the order of IDs and makes room.
func (s *store) remember(k kept) {
	if s.keep < 0 {
		return
	}
	at := len(s.kept)
	for at > 0 && s.kept[at-1].ID > k.ID {
		at--
	}
	s.kept = slices.Insert(s.kept, at, k)
	s.bodies += k.octets()
	if len(s.kept) > s.keep {
		s.bodies -= s.kept[0].octets()
		s.kept[0] = kept{}
		s.kept = s.kept[1:]
	}
	for i := 0; s.bodies > s.keepBytes && i < len(s.kept); i++ {
		s.bodies -= s.kept[i].octets()
		s.kept[i].raw, s.kept[i].files = nil, nil
	}
}

// write puts the message and its record into the folder, the record last: who
// sees it finds the message whole. Names carry the time, so that a second
// double may use the same folder.
func (s *store) write(m *Message, raw []byte) error {
	name := fmt.Sprintf("%s-%06d", m.At.UTC().Format("20060102T150405.000Z"), m.ID)
	m.File = filepath.Join(s.dir, name+".eml")
	if m.Form == "json" || m.Form == "draft" {
		m.File = filepath.Join(s.dir, name+".body.json")
	}
	if err := writeNew(m.File, raw); err != nil {
		return err
	}
	record, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(s.dir, name+".json"), append(record, '\n'))
}

// writeNew refuses to write over what is there. It does not sync: the double
// promises nothing beyond its own life.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// find returns the record of id.
func (s *store) find(id int) (kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := slices.BinarySearchFunc(s.kept, id, func(k kept, id int) int { return k.ID - id })
	if !ok {
		return kept{}, false
	}
	return s.kept[i], true
}

func (s *store) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Messages lists the records still remembered, oldest first.
func (d *Double) Messages() []Message { return d.store.after(0, 0) }

// after lists up to limit records with greater IDs; 0 means all.
func (s *store) after(id, limit int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.kept, id+1, func(k kept, id int) int { return k.ID - id })
	rest := s.kept[i:]
	if limit > 0 && len(rest) > limit {
		rest = rest[:limit]
	}
	list := make([]Message, len(rest))
	for i, k := range rest {
		list[i] = k.Message
	}
	return list
}

// Message returns one record.
func (d *Double) Message(id int) (Message, bool) {
	k, ok := d.store.find(id)
	return k.Message, ok
}

// Raw returns a message octet for octet as it was received: MIME, or the JSON
// body. It fails where the message is no longer remembered.
func (d *Double) Raw(id int) ([]byte, error) {
	k, ok := d.store.find(id)
	switch {
	case ok && k.File != "":
		return os.ReadFile(k.File)
	case !ok || k.raw == nil && k.Size > 0:
		return nil, fmt.Errorf("message %d is not kept; raise Keep or KeepBytes", id)
	}
	return slices.Clone(k.raw), nil
}

// AttachmentBytes returns the content of the attachment at index of a message
// that came as a draft. It fails where it is no longer remembered; its digest is.
func (d *Double) AttachmentBytes(id, index int) ([]byte, error) {
	k, ok := d.store.find(id)
	if !ok || index < 0 || index >= len(k.files) || k.files[index] == nil && k.Attachments[index].Size > 0 {
		return nil, fmt.Errorf("attachment %d of message %d is not kept; raise Keep or KeepBytes", index, id)
	}
	return slices.Clone(k.files[index]), nil
}

// Delivered returns what a recipient gets: the message without its Bcc fields.
// That Exchange strips them is expected and not stated in any document [K].
func (d *Double) Delivered(id int) ([]byte, error) {
	raw, err := d.Raw(id)
	if m, _ := d.Message(id); err != nil || m.Form != "mime" {
		return raw, err
	}
	return withoutBcc(raw), nil
}

// withoutBcc removes each Bcc field with its folds from the header block.
func withoutBcc(raw []byte) []byte {
	header := headerBlock(raw)
	out := make([]byte, 0, len(raw))
	inBcc := false
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			inBcc = bytes.EqualFold(bytes.TrimSpace(name), []byte("bcc"))
		}
		if !inBcc {
			out = append(out, line...)
		}
	}
	return append(out, raw[len(header):]...)
}

// Count is the number of messages recorded since New or Reset, remembered or
// not.
func (d *Double) Count() int { return d.store.stats().Messages }

// Ledger counts the messages of each Message-ID since New or Reset; those
// without one are under "".
func (d *Double) Ledger() map[string]int {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return maps.Clone(d.store.ledger)
}

// Wait returns when at least n messages were recorded, or with the cause of
// ctx's end.
func (d *Double) Wait(ctx context.Context, n int) error {
	for {
		d.store.mu.Lock()
		count, changed := d.store.total.Messages, d.store.changed
		d.store.mu.Unlock()
		if count >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages arrived: %w", count, n, context.Cause(ctx))
		}
	}
}

// Reset forgets messages, what was received, refusals, drafts, ledger and counters, not files, faults or settings.
// IDs go on counting.
func (d *Double) Reset() {
	d.gauges.reset()
	d.drafts.mu.Lock()
	clear(d.drafts.byID)
	clear(d.drafts.sessions)
	d.drafts.mu.Unlock()
	d.inbox.mu.Lock()
	d.inbox.mail, d.inbox.delivered = nil, nil
	d.inbox.mu.Unlock()
	s := d.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total, s.kept, s.bodies, s.refused, s.refusal = Stats{}, nil, 0, 0, nil
	clear(s.ledger)
}
