// Package tracking finds out what became of mail after Microsoft accepted it: it reads
// bounces in the mailboxes that sent, matches them to messages, and records the fate of
// each recipient in their history.
//
// # Promises
//
// Nothing changes in a mailbox, and mail comes first: each request asks Config.Aside,
// which counts it against the mailbox's budget. A quiet mailbox costs one request a
// minute. What was read is remembered in the store, so that a restart misses nothing;
// what is read twice is recorded once. Of several nodes the one that leads reads. A
// bounce, even a forged one, adds an event to a message and nothing else: it deletes,
// resends and releases nothing, and who is told is decided by the rules of reports.
//
// # On failure
//
// A mailbox that cannot be read, or a report that cannot, is a line in the log and a
// metric; the mailbox is tried again a minute later, or when Graph says so. Where the app
// may not read it at all, an alarm says so. A store that takes no event ends the round:
// the same mail is read again in the next.
//
// # What it must not know
//
// SMTP, and how mail is sent. The meaning of a report is that of package bounce.
package tracking

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

// Reader reads mailboxes. *graph.Client is one.
type Reader interface {
	Folder(ctx context.Context, mailbox envelope.Address, folder string, since time.Time, skip int) (
		list []graph.Received, more bool, a outcome.Answer)
	MIME(ctx context.Context, mailbox envelope.Address, id string, limit int64) ([]byte, outcome.Answer)
}

// Store is what is needed of a spool.
type Store interface {
	spool.Bounces
	Key() [16]byte
	Get(ctx context.Context, id envelope.QueueID) (spool.Record, error)
	List(ctx context.Context, f spool.Filter) ([]spool.Record, error)
	ByMessageID(ctx context.Context, messageID string, limit int) ([]spool.Record, error)
	SentRecipients(ctx context.Context, since, until time.Time) ([]spool.Usage, error)
	Leads() bool
}

// Settings are what a reload may change.
type Settings struct {
	On      bool          // delivery.track_bounces is not off
	Full    bool          // it is full: reports are read whole
	History time.Duration // queue.history
}

// Config is what a Tracker works with. Every field is required; functions must not block.
type Config struct {
	Store    Store
	Settings func() Settings
	Reader   func(mailbox envelope.Address) (r Reader, identity string, ok bool)
	Aside    func(mailbox envelope.Address) bool // whether a request may be made now, which is then counted
	Recorded func()                              // bounces were recorded, and may have to be reported
	OnEvent  func(Event)                         // for metrics
	Alarm    func(key, text string, firing bool)
	Now      func() time.Time
	Log      *slog.Logger
}

// Event is something to count: what was found in a mailbox, and the class of a bounce.
type Event struct {
	Mailbox envelope.Address
	Result  Result
	Class   string // of Bounced: the first two numbers of its status, as in 5.1
	Client  string // of Bounced, where it is certain and of today: whose mail it was
	Limit   string // the same: its status, where the mailbox or the tenant may send no more
}

// Result is what became of a report, or of the attempt to read a mailbox.
type Result string

// The results. Those of recipients come beside that of their report.
const (
	Matched    Result = "matched"    // to a message
	Probable   Result = "probable"   // the same, with doubt
	Foreign    Result = "foreign"    // about mail that is not ours
	Unreadable Result = "unreadable" // by us
	Refused    Result = "refused"    // the app may not read the mailbox
	Failed     Result = "failed"     // the mailbox could not be read now

	Bounced Result = "bounced" // one recipient
	Delayed Result = "delayed" // one recipient
)

const (
	every    = time.Minute
	overlap  = 2 * time.Minute // what Exchange may show late, and clocks may differ
	between  = 50 * time.Millisecond
	atOnce   = 4       // mailboxes
	maxAgain = 5000    // messages that are remembered as read, of a mailbox
	pages    = 100_000 // of a round; more is a Graph that turns in circles
)

// Tracker tracks. Make one with New.
type Tracker struct {
	Config
	key bounce.Key

	mu    sync.Mutex
	boxes map[string]*box
	since time.Time // until when the store was asked which mailboxes have sent
	watch watch
}

// box is a mailbox that has sent mail. All of it but the address belongs to its round.
type box struct {
	mailbox  envelope.Address
	last     time.Time // hour in which it sent
	position time.Time // everything before was read; zero until the store was asked
	seen     map[string]bool
	wait     time.Time // Graph asked for time
	alarmed  bool      // it may not be read
	failing  bool      // it could not be read the last time
	blind    int       // messages in a row whose header Graph did not show
	failedAt string    // the message that Graph failed to show
	failures int       // how often
}

// New makes a Tracker. Nothing happens before Run.
func New(c Config) *Tracker {
	return &Tracker{Config: c, key: c.Store.Key(), boxes: map[string]*box{}, watch: newWatch()}
}

// Run reads the mailboxes at once and every minute, until ctx ends.
func (t *Tracker) Run(ctx context.Context) {
	for {
		t.turn(ctx)
		if pacing.Sleep(ctx, every) != nil {
			return
		}
	}
}

func (t *Tracker) turn(ctx context.Context) {
	switch {
	case !t.Settings().On:
		t.endAlarms("bounces are not tracked any more")
	case !t.Store.Leads():
		t.leave()
	default:
		t.round(ctx)
	}
}

// leave forgets how far the mailboxes are read, for another node reads on.
func (t *Tracker) leave() {
	t.endAlarms("another node reads the bounces now")
	t.watch.end(t, t.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.boxes)
	t.since = time.Time{}
}

// round reads each mailbox once.
func (t *Tracker) round(ctx context.Context) {
	if err := t.findBoxes(ctx); err != nil {
		t.Log.Error("cannot read which mailboxes have sent mail; retrying", "after", every, "error", err)
		return
	}
	slots, all := make(chan struct{}, atOnce), sync.WaitGroup{}
	for _, b := range t.list() {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			t.read(ctx, b)
		})
	}
	all.Wait()
	t.watch.end(t, t.Now())
}

func (t *Tracker) list() (list []*box) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.boxes {
		list = append(list, b)
	}
	return list
}

// findBoxes adds the mailboxes that have sent since it was called last, and drops those whose
// mail is not in the history any more.
func (t *Tracker) findBoxes(ctx context.Context) error {
	now, history := t.Now(), t.Settings().History
	since := t.since.Add(-overlap)
	if t.since.IsZero() {
		since = now.Add(-history)
	}
	sent, err := t.Store.SentRecipients(ctx, since, now.Add(overlap))
	if err != nil {
		return err
	}
	t.since = now
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range sent {
		key := s.Mailbox.Key()
		if t.boxes[key] == nil {
			t.boxes[key] = &box{mailbox: s.Mailbox, seen: map[string]bool{}}
		}
		t.boxes[key].last = pacing.Later(t.boxes[key].last, s.Hour)
	}
	for key, b := range t.boxes {
		if b.last.Add(time.Hour).Before(now.Add(-history)) {
			delete(t.boxes, key)
		}
	}
	return nil
}
