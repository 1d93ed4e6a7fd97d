// Package canary proves that mail arrives: once a day it puts a message into the queue,
// which goes the way of all mail, and looks for it in the mailbox that it is for.
//
// # Promises
//
// One canary a day, and one at a time: the next waits until the last was sent, and a
// restart neither sends a second one nor forgets the one under way, since the store
// remembers it. Of several nodes the one that leads sends and looks. A canary is the
// queue's ordinary mail, with the smallest share of its mailbox, and the mailbox is read
// when Config.Aside permits it, at most once a minute. Nothing changes there. When to
// send, and what has become of a canary, is decided by pure functions.
//
// # On failure
//
// A canary that failed, came back, or is not there an hour after Microsoft accepted it is
// a problem until one arrives, late or the next. A mailbox that cannot be read is a
// problem of its own. What cannot be written into the queue is tried again a minute later.
//
// # What it must not know
//
// SMTP, how mail is sent, and who gets alerts.
package canary

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// Reader reads mailboxes. *graph.Client is one.
type Reader interface {
	Folder(ctx context.Context, mailbox envelope.Address, folder string, since time.Time, skip int) (
		list []graph.Received, more bool, a outcome.Answer)
}

// Store is what is needed of a spool.
type Store interface {
	Begin(ctx context.Context, client string, size int64) (spool.Draft, error)
	Key() [16]byte
	ByMessageID(ctx context.Context, messageID string, limit int) ([]spool.Record, error)
	Note(ctx context.Context, key, text string) error
	Noted(ctx context.Context, key string) (string, error)
	Leads() bool
}

// Settings are what a reload may change.
type Settings struct {
	To            envelope.Address // audit.canary; zero: off
	From, Mailbox envelope.Address // default_sender, and the mailbox that it sends through
	Hostname      string
}

// Config is what a Canary works with. Every field is required; functions must not block.
type Config struct {
	Store    Store
	Settings func() Settings
	Reader   func() Reader                       // of the identity that may read it
	Aside    func(mailbox envelope.Address) bool // whether a request may be made now, which is then counted
	Notify   func(m spool.Message)
	Now      func() time.Time
	Log      *slog.Logger
}

// noteKey is where the store keeps what is known of canaries.
const noteKey = "canary"

// note is that.
type note struct {
	To        string    `json:"to"`
	MessageID string    `json:"message_id"` // of the newest one
	Begun     time.Time `json:"begun"`
	Queued    bool      `json:"queued"`  // it is in the queue, or was
	Arrived   bool      `json:"arrived"` // and was found
	Problem   string    `json:"problem,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the problem

	Last   time.Time     `json:"last,omitzero"` // when the last one that arrived did
	Travel time.Duration `json:"travel,omitzero"`
}

// Canary sends and looks for canaries. Make one with New.
type Canary struct {
	Config
	key bounce.Key

	// Of the goroutine of Run.
	note      note
	seen      search    // of the newest canary
	from      time.Time // up to here the Inbox was read without finding it
	wait      time.Time // Graph asked for time
	unread    string    // why the mailbox cannot be read
	unreadAt  time.Time // since when
	complains bool      // the last step failed
	steps     int       // since the newest canary was sent

	mu    sync.Mutex
	shown *state.Canary
}

// New makes a Canary. Nothing happens before Run.
func New(c Config) *Canary { return &Canary{Config: c, key: c.Store.Key()} }

// State is what operators are shown; nil where there is no canary.
func (c *Canary) State() *state.Canary {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Settings().To.IsZero() {
		return nil
	}
	return c.shown
}

// Run sends and looks until ctx ends: a canary that was just sent is looked for soon, and
// then once a minute.
func (c *Canary) Run(ctx context.Context) {
	for {
		pause := time.Minute
		if s := c.Settings(); !s.To.IsZero() {
			err := c.step(ctx, s)
			if err != nil && !c.complains && ctx.Err() == nil {
				c.Log.Warn("cannot send a canary or look for it; retrying", "mailbox", s.To.String(), "error", err)
			}
			c.complains = err != nil
			if c.steps++; !c.note.Arrived {
				pause = pacing.Backoff(time.Second, time.Minute, c.steps)
			}
		}
		if pacing.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// step does what is due, once.
func (c *Canary) step(ctx context.Context, s Settings) error {
	if err := c.restore(ctx, s); err != nil {
		return err
	}
	rec, err := c.record(ctx)
	if err != nil {
		return err
	}
	now := c.Now()
	if !c.Store.Leads() { // another node sends and looks
		c.seen, c.from, c.unread = search{}, time.Time{}, ""
		c.show(s, rec, stage(rec, c.note.Arrived, c.seen, now))
		return nil
	}
	is := stage(rec, c.note.Arrived, c.seen, now)
	switch {
	case rec == nil && !c.note.Queued, due(c.note.Begun, is, now):
		if err := c.send(ctx, s); err != nil {
			return err
		}
		if rec, err = c.record(ctx); err != nil {
			return err
		}
	case rec != nil && rec.State == spool.Sent && !c.note.Arrived:
		if err := c.look(ctx, s, *rec); err != nil {
			return err
		}
	}
	is = stage(rec, c.note.Arrived, c.seen, now)
	if err := c.judge(ctx, s, rec, is); err != nil {
		return err
	}
	c.show(s, rec, is)
	return nil
}

// restore reads what earlier runs, and other nodes of this queue, know. Of another address
// nothing is known.
func (c *Canary) restore(ctx context.Context, s Settings) error {
	noted, err := c.Store.Noted(ctx, noteKey)
	if err != nil {
		return err
	}
	var n note
	_ = json.Unmarshal([]byte(noted), &n) // the zero note for none
	if n.To != s.To.Key() {
		n = note{To: s.To.Key()}
	}
	if n.To != c.note.To || n.MessageID != c.note.MessageID {
		c.seen, c.steps, c.from, c.wait, c.unread = search{}, 0, time.Time{}, time.Time{}, ""
	}
	c.note = n
	return nil
}

// remember keeps a changed note.
func (c *Canary) remember(ctx context.Context, n note) error {
	if n == c.note {
		return nil
	}
	written, err := json.Marshal(n)
	if err == nil {
		err = c.Store.Note(ctx, noteKey, string(written))
	}
	if err == nil {
		c.note = n
	}
	return err
}

// record is what the queue knows of the newest canary; nil for nothing.
func (c *Canary) record(ctx context.Context) (*spool.Record, error) {
	list, err := c.Store.ByMessageID(ctx, c.note.MessageID, 1)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// send puts the next canary into the queue. It is noted before and after, so that a crash
// between the two neither doubles nor loses it.
func (c *Canary) send(ctx context.Context, s Settings) error {
	n, now := c.note, c.Now()
	n.MessageID, n.Begun = "<canary-"+rand.Text()+"@"+s.From.Domain()+">", now
	n.Queued, n.Arrived = false, false
	if err := c.remember(ctx, n); err != nil {
		return err
	}
	c.seen, c.steps, c.from = search{}, 0, time.Time{}
	m, written := message(s, envelope.NewQueueID(now), n.MessageID, c.key, now)
	draft, err := c.Store.Begin(ctx, m.Turn().Client, int64(len(written)))
	if err != nil {
		return err
	}
	defer draft.Abort()
	if _, err := draft.Write(written); err != nil {
		return err
	}
	if err := draft.Commit(context.WithoutCancel(ctx), m); err != nil {
		return err
	}
	c.Log.Info("canary", "queue_id", string(m.ID), "message_id", m.MessageID, "mailbox", m.Mailbox.String(),
		"recipient", s.To.String())
	c.Notify(m)
	n.Queued = true
	return c.remember(ctx, n)
}

const (
	clockOff = 10 * time.Minute // this host's clock may differ from Exchange's
	overlap  = 2 * time.Minute  // what Exchange may show late
	pages    = 20               // of one look
	afresh   = 10               // looks, after which the Inbox is read from the start: mail may be moved there
)

// look looks for a canary in its mailbox.
func (c *Canary) look(ctx context.Context, s Settings, rec spool.Record) error {
	start := rec.Accepted.Add(-clockOff)
	if c.from.IsZero() || c.seen.looks%afresh == 0 {
		c.from = start
	}
	reader, skip, since := c.Reader(), 0, c.from
	for range pages {
		if c.Now().Before(c.wait) || !c.Aside(s.To) {
			return nil
		}
		list, more, a := reader.Folder(ctx, s.To, graph.Inbox, since, skip)
		if a.Outcome != outcome.Delivered {
			c.failed(s, rec, a)
			return nil
		}
		c.unread = ""
		for _, m := range list {
			if c.is(m, rec) {
				return c.found(ctx, rec, m)
			}
			c.from = pacing.Later(c.from, pacing.Earlier(m.At, c.Now()).Add(-overlap)) // a date may be wrong
		}
		if !more {
			break
		}
		skip += len(list)
	}
	if c.seen.looks++; c.seen.looks >= fewestLooks && c.Aside(s.To) {
		list, _, a := reader.Folder(ctx, s.To, graph.JunkEmail, start, 0)
		c.seen.junk = a.Outcome == outcome.Delivered &&
			slices.ContainsFunc(list, func(m graph.Received) bool { return c.is(m, rec) })
	}
	return nil
}

// is reports whether a message is the canary: Exchange may have replaced its Message-ID.
func (c *Canary) is(m graph.Received, rec spool.Record) bool {
	if m.MessageID == rec.MessageID {
		return true
	}
	for _, f := range m.Header {
		if strings.EqualFold(f.Name, bounce.IDField) && f.Value == c.key.ID(rec.ID) {
			return true
		}
	}
	return false
}

func (c *Canary) found(ctx context.Context, rec spool.Record, m graph.Received) error {
	n := c.note
	n.Arrived, n.Problem, n.Since = true, "", time.Time{}
	n.Last, n.Travel = m.At, travel(rec.Accepted, m.At)
	if err := c.remember(ctx, n); err != nil {
		return err
	}
	c.Log.Info("canary arrived", "queue_id", string(rec.ID), "recipient", c.note.To, "travel", n.Travel)
	return nil
}

// failed follows a mailbox that could not be read: what no waiting mends is a problem at
// once, anything else when the canary should have been found.
func (c *Canary) failed(s Settings, rec spool.Record, a outcome.Answer) {
	now := c.Now()
	c.wait = now.Add(min(a.RetryAfter, time.Hour))
	var cause text.Cause
	switch {
	case a.HTTPStatus == http.StatusForbidden:
		cause = text.Cause{
			Headline: "App may not read the mailbox of audit.canary",
			Remedy: "grant it \"" + graph.RoleReadBasic + "\" for this mailbox with the script of graphrelay " +
				"setup, which takes up to 2 hours to reach Graph",
		}
	case a.HTTPStatus == http.StatusNotFound:
		cause = text.Cause{
			Headline: "Mailbox of audit.canary does not exist in Exchange Online",
			Remedy:   "correct audit.canary, or create the mailbox",
		}
	case now.Sub(rec.FinishedAt) < Patience:
		return
	default:
		cause = a.Cause()
		cause.Headline = "Mailbox of audit.canary cannot be read"
	}
	cause.Detail = s.To.String() + ": " + a.What()
	if c.unread == "" {
		c.unreadAt = now
		c.Log.Warn("cannot look for a canary; mail is not affected", "mailbox", s.To.String(), "error", cause.String())
	}
	c.unread = cause.String()
}

// judge notes the problem of a canary that failed or is missing. It lasts until one arrives.
func (c *Canary) judge(ctx context.Context, s Settings, rec *spool.Record, is Stage) error {
	var cause text.Cause
	switch {
	case is == Missing && c.seen.junk:
		cause = text.Cause{
			Headline: "Canary was moved to Junk Email, as other mail of the relay may be",
			Remedy: "mark it as not junk in the mailbox, and allow the sender address for the tenant; a message " +
				"trace in the Exchange admin center says why",
		}
	case is == Missing:
		cause = text.Cause{
			Headline: "Canary has not arrived an hour after Microsoft accepted it",
			Remedy: "find it with a message trace in the Exchange admin center, in Junk Email, and among the rules " +
				"of the mailbox; see Service health",
		}
	case is == Failed:
		cause = text.Cause{
			Headline: "Canary could not be delivered", Remedy: "see why with graphrelay trace " + string(rec.ID),
		}
	default:
		return nil
	}
	n := c.note
	cause.Detail = s.To.String() + ": " + n.MessageID
	if is == Failed && rec.Bounces == 0 {
		cause.Detail += ": " + text.Line(rec.LastText)
	}
	if n.Problem = cause.String(); n.Since.IsZero() {
		n.Since = c.Now()
	}
	return c.remember(ctx, n)
}

// show makes the picture for operators.
func (c *Canary) show(s Settings, rec *spool.Record, is Stage) {
	v := &state.Canary{
		Address: s.To.String(), Stage: string(is), Arrived: c.note.Last, Travel: c.note.Travel.Seconds(),
		Problem: c.note.Problem, Since: c.note.Since, Unread: c.unread, UnreadSince: c.unreadAt,
	}
	if rec != nil {
		v.ID, v.Accepted = string(rec.ID), rec.Accepted
	}
	c.mu.Lock()
	c.shown = v
	c.mu.Unlock()
}
