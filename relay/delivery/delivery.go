// Package delivery takes messages from the spool to Microsoft Graph: it decides
// when each is tried, in which order, how often, and what to do after the answer.
// It knows neither SMTP nor how a message is sent (Sender does). How fast a
// mailbox may send is decided in package pace, and what is held in package hold.
//
// # Lanes
//
// Each mailbox has a lane: a goroutine that lives while the mailbox has mail
// waiting. A lane has a few slots (Route.MaxConcurrent), and the lanes of an
// identity share its slots (Route.IdentityConcurrent), which pass from lane to
// lane in turn. A slot is busy only from request to answer: while slots are
// busy the lane claims the next messages (one for each slot, up to four where
// commits are slower than answers), and outcomes are recorded beside the next
// requests. Whose message is next is decided in package turns: clients take turns,
// inside a client its addresses and local users do, and none has all slots for what
// takes minutes while mail of others is due. A lane never waits for another one, and keeps at most ten messages
// for each slot in memory, without their bodies, whatever the backlog.
//
// # Several nodes
//
// Where nodes share a store, each runs the lanes that are its own (Store.Mine), and what one
// does to a hold the others do within seconds. A lane that moves takes its pace along.
//
// # Throttling
//
// A lane keeps to Graph's limits of one app and mailbox by itself: 150 MB of requests
// in five minutes, 10,000 requests in ten, and the rate that the configuration gives
// the mailbox. When Graph asks for time all the same, the lane waits for exactly as
// long (an hour at most) and then continues with half of its slots; the others come
// back one by one. The identity loses slots only where the answer was about it, or
// when most of its mailboxes with mail are throttled; then each of them keeps one.
//
// # The life of a message
//
// A message is Queued when it was accepted, and due at once. Claim makes it
// Active: the attempt is durable before it is made. Where nothing else is to be done in
// its lane, it is Active from the commit that accepts it on (Reserve). From there:
//
//   - Graph accepted it (202): Sent, the end.
//   - Graph refused it for good: Failed with the status of the refusal, kept
//     for keep_failed. A report does not replace it: the report may fail too, and
//     an operator who fixes the cause can still send the message.
//   - Its mailbox may not send as its From address, and the client had chosen
//     that address: the same. Where the configuration chose it (ConfiguredFrom), a
//     hold.
//   - Too large for one request: in the same attempt it takes the way of large mail,
//     where the configuration says so: in parts, as a draft (signed or encrypted mail
//     fails then), or whole, by submission. Without a way it fails like the above.
//   - Certainly not sent, for a temporary reason: Queued, due after a backoff of
//     15 s to 30 min (5 min where the service does not answer), or after the
//     Retry-After of the answer.
//   - The same, and the message is older than max_age (held time not counted):
//     Failed. Age alone fails nothing: this run has tried it first.
//   - Perhaps sent (connection lost, 504, panic, crash, and unless the
//     configuration says retry a 500 that can follow a sent message): Queued with a longer
//     first delay and logged as a possible duplicate, or Held, as configured. Or
//     it is looked up in its mailbox first: if found, it is Sent; if not found
//     after ten minutes, it is sent again; in doubt, it is Held.
//   - Refused for a reason that is not the message's: Queued, and a hold pauses
//     its mailbox, its identity, or its From address in this mailbox.
//   - Refused that way again and again while others pass: Held alone.
//   - Interrupted by three crashes or panics: Held.
//   - Its stored bytes do not match their checksum, each time for minutes: Damaged.
//
// An attempt that was recorded ahead and not made (shutdown, hold, throttling) is
// taken back with Unclaim and counts nowhere. Held messages wait for an
// operator, or become Failed after max_hold.
//
// # Holds
//
// A hold is stored, so that it survives a restart. It is probed with one
// message at a time, each time another one where there is one, after 1, 2, 4,
// ... 30 minutes, at start, when ProbeNow is called, and when something happens
// that may have ended what began it (LoggedIn, an answer after probes that got
// none), but then with growing gaps. A probe that got no answer proves nothing,
// and another follows within 5 minutes. When a probe passes,
// the hold ends and its lanes continue. A message that met the refusal which began
// a hold is tried again then; after meeting it three more times while others
// passed it is held alone. One such answer is not enough because a new access
// policy reaches the servers of Graph one after another: for up to two hours the
// same request is refused or accepted by chance. A refusal of something narrower
// (the mailbox) ends a wider hold (its identity).
//
// A message that probed, or was taken back because a hold began, keeps its place
// in line. Time in a hold does not count towards a message's age; at max_hold the
// message fails. Time in two holds at once counts once.
//
// HoldIdentity holds a whole identity without probes, until ReleaseIdentity: for
// the audit, which found that it may send as more than it should.
//
// A mailbox that no sender in the configuration uses any more is held for that cause,
// until it is configured again. The hold of an identity that is no longer configured, or
// has another name by now, ends: its mailboxes continue when their time in it is credited.
//
// # Reports
//
// Each message that fails is reported once: to its reverse-path, the postmaster or
// both, as the configuration says, as default_sender, through the queue and the
// lanes like any other mail. The store keeps who is owed a report and clears that
// in the commit of the report, so that a crash loses and doubles none. Mail with a
// null reverse-path, auto-submitted mail and reports get none; a report that fails
// stays Failed and raises an alarm. One that cannot be written, because its
// message cannot be read, raises it too, is retried every minute and delays no
// other. Only the postmaster is warned of mail that waits for long without a hold.
//
// # On failure
//
// An outcome that cannot be recorded is retried until it can; its message stays
// Active, and so is not attempted meanwhile. A Claim that fails makes its lane
// wait, up to 30 s. A panic of the Sender costs one attempt of one message, and
// one of the Finder a minute; the third holds the message. After many failures in
// a row a lane tries one message at a time, with pauses of 15 s to 5 min, so that
// a backlog does not use up its attempts while Graph is down. It does so from the
// first 500 on that leaves in doubt whether a message was sent. TryNow ends these
// pauses and the backoff of the messages, and so does, at growing intervals, an
// answer to another mailbox of the identity or a login that works again; what may
// have been sent keeps its delay. Then the messages
// under way may be held, one for each slot; those tried later in the same outage
// are retried.
// Times read from the store are clamped: a clock that jumped back does not make
// a message wait for longer than the longest backoff.
//
// When the context of Run ends, no attempt begins, attempts recorded ahead are
// taken back, running ones get Config.Grace and are then cancelled, and every
// outcome is recorded before Run returns.
package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/delivery/hold"
	"graphrelay/relay/delivery/pace"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/pacing"
	"graphrelay/relay/spool"
)

const (
	defaultSlots         = 3  // Route.MaxConcurrent; Graph allows 4 per app and mailbox
	defaultIdentitySlots = 64 // Route.IdentityConcurrent
	defaultGrace         = 20 * time.Second
)

// Sender makes one attempt to send m as mailbox. It returns soon after ctx
// ends, with what is then known. It may be called for many messages at once.
type Sender interface {
	Send(ctx context.Context, mailbox envelope.Address, m graph.Mail) outcome.Answer
}

// Route says how the mail of a mailbox is sent.
type Route struct {
	Identity           string // name of the identities: entry
	Sender             Sender
	Finder             Finder      // for LookUp; without one what may have been sent is held
	MaxConcurrent      int         // requests at once for this mailbox; = 3
	IdentityConcurrent int         // requests at once for the whole identity; = 64
	Rate               pacing.Rate // messages in a time for this mailbox; = no limit

	Large     Large // the way of what is too large for one request; nil: it bounces
	MIMELimit int64 // bytes above which a message takes it at once, or is held without one; 0 = no limit
}

// Config is what a Delivery works with. Store and Route are required. Functions
// may be called at once from many goroutines, and must not block.
type Config struct {
	Limits // at the start; SetLimits changes them

	Store        spool.Store
	Route        func(mailbox envelope.Address) (Route, bool) // asked before each step, so that a reload takes effect
	UnknownDelay time.Duration                                // first delay after an unknown outcome; = 1 min
	Grace        time.Duration                                // for running attempts when Run ends; = 20 s
	Now          func() time.Time                             // = time.Now
	Rand         func() float64                               // 0 <= x < 1, for jitter; = math/rand
	Log          *slog.Logger                                 // = none
	Reports      func() Reports                               // asked before each report; nil makes none
	Identity     func(name string) bool                       // whether it is configured; nil: it is
	Weight       func(client string) int                      // of its turns: High, Normal or Bulk; nil: Normal
	Alarm        func(key, text string, firing bool)          // holds, reports that fail, damaged messages; may be nil
	OnEvent      func(Event)                                  // for metrics; may be nil
}

// Limits are what a reload may change, beside what Route says.
type Limits struct {
	MaxAge  time.Duration  // queue.max_age; 0 = no limit
	MaxHold time.Duration  // queue.max_hold; 0 = no limit
	Unknown UnknownOutcome // delivery.unknown_outcome
}

// Delivery sends the mail of a spool. Make one with New.
type Delivery struct {
	cfg      Config
	limit    atomic.Pointer[Limits]
	holds    *hold.Set
	usage    usage
	outages  outages
	unheard  unheard
	polls    polls
	reports  reporting
	shutdown *shutdown
	restored chan struct{} // closed when the holds of earlier runs were read
	started  time.Time     // set by Run before any lane

	mu         sync.Mutex
	running    bool
	lanes      map[string]*lane
	paces      map[string]*pace.Mailbox // outlive the lanes
	identities map[string]*pace.Identity
	panics     map[envelope.QueueID]int
	misreads   map[envelope.QueueID]time.Time // since when
	unreadable map[string]envelope.Address    // by identity: the mailbox that its search alarm names
}

// New makes a Delivery. Nothing happens before Run.
func New(cfg Config) *Delivery {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	if cfg.Identity == nil {
		cfg.Identity = func(string) bool { return true }
	}
	if cfg.Alarm == nil {
		cfg.Alarm = func(string, string, bool) {}
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	cfg.Log, cfg.Grace = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), cmp.Or(cfg.Grace, defaultGrace)
	d := &Delivery{
		cfg: cfg, holds: hold.New(cfg.Store), usage: usage{boxes: map[string]*boxUsage{}},
		outages: outages{of: map[string]*Outage{}},
		polls:   polls{began: time.Now(), wanted: make(chan struct{}, 1)},
		reports: reporting{wanted: make(chan struct{}, 1)}, shutdown: newShutdown(), restored: make(chan struct{}),
		lanes: map[string]*lane{}, paces: map[string]*pace.Mailbox{}, identities: map[string]*pace.Identity{},
		panics: map[envelope.QueueID]int{}, misreads: map[envelope.QueueID]time.Time{},
		unreadable: map[string]envelope.Address{},
	}
	d.SetLimits(cfg.Limits)
	return d
}

// SetLimits changes the limits, for whatever is decided from now on.
func (d *Delivery) SetLimits(l Limits) { d.limit.Store(&l) }

func (d *Delivery) limits() Limits { return *d.limit.Load() }

// Notify says that a message was committed. It does not block, and costs little; before
// Run it does nothing, for Run looks at what is there.
func (d *Delivery) Notify(m spool.Message) {
	d.wake(m.Mailbox, hint{came: map[spool.Turn]arrivals{m.Turn(): {1, m.Accepted}}})
}

// Wake says that messages of mailbox are due which were not, whoever they are of.
func (d *Delivery) Wake(mailbox envelope.Address) {
	d.wake(mailbox, hint{all: true})
	d.askPoll()
}

func (d *Delivery) wake(mailbox envelope.Address, h hint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.laneFor(mailbox); l != nil {
		l.inbox.send(h)
	}
}

// laneFor finds the lane of a mailbox, or makes it; nil while nothing is sent, or another node sends its mail.
// Delivery.mu is held.
func (d *Delivery) laneFor(mailbox envelope.Address) *lane {
	if !d.running {
		return nil
	}
	key := mailbox.Key()
	l := d.lanes[key]
	if l == nil && d.cfg.Store.Mine(mailbox) {
		l = newLane(d, mailbox, d.paceOf(key))
		d.lanes[key] = l
		d.shutdown.lanes.Go(l.run)
	}
	return l
}

// retire removes an idle lane, unless it was woken meanwhile.
func (d *Delivery) retire(l *lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if !l.stopping && !l.inbox.hint.empty() {
		return false
	}
	delete(d.lanes, l.key)
	return true
}

// ProbeNow probes every hold at once and makes every lane try again: call it
// after a reload, a changed credential file or an operator's release. With keys
// it probes these holds and does no more.
func (d *Delivery) ProbeNow(keys ...string) {
	d.shareProbes(d.holds.ProbeNow(d.cfg.Now(), keys...))
	if len(keys) == 0 {
		d.resumeLanes(asked, func(envelope.Address) bool { return true })
	}
	d.askPoll()
	d.wakeAll()
}

// LoggedIn says that an identity has a new token: after logins that failed
// (again), or with roles that the last one lacked (roles). It probes the holds
// that this explains. It does not block.
func (d *Delivery) LoggedIn(identity string, again, roles bool) {
	if again {
		d.mayEnd(hold.LoginWorks, identity)
		d.mayEnd(hold.NetworkBack, identity)
		d.resumeIdentity(identity)
	}
	if roles {
		d.mayEnd(hold.NewRoles, identity)
	}
}

// mayEnd probes the holds of an identity that a cause explains.
func (d *Delivery) mayEnd(c hold.Cause, identity string) {
	if d.holds.Explained(c, identity, d.cfg.Now()) {
		d.cfg.Log.Info("probing holds before their time", "identity", identity, "trigger", string(c))
		d.askPoll()
		d.wakeAll()
	}
}

func (d *Delivery) wakeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		l.inbox.send(hint{})
	}
}

// route is Config.Route with its defaults.
func (d *Delivery) route(mailbox envelope.Address) (Route, bool) {
	r, ok := d.cfg.Route(mailbox)
	r.MaxConcurrent = cmp.Or(r.MaxConcurrent, defaultSlots)
	r.IdentityConcurrent = cmp.Or(r.IdentityConcurrent, defaultIdentitySlots)
	return r, ok
}

func (d *Delivery) identity(r Route) *pace.Identity {
	d.mu.Lock()
	id := d.identities[r.Identity]
	if id == nil {
		id = &pace.Identity{Name: r.Identity}
		d.identities[r.Identity] = id
	}
	d.mu.Unlock()
	id.SetSlots(d.cfg.Now(), r.IdentityConcurrent)
	return id
}

// paceOf finds the pace of a mailbox. Delivery.mu is held.
func (d *Delivery) paceOf(key string) *pace.Mailbox {
	p := d.paces[key]
	if p == nil {
		p = pace.NewMailbox()
		d.paces[key] = p
	}
	return p
}

// forgetPaces drops those that mailboxes without mail do not need any more.
func (d *Delivery) forgetPaces(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.paces, func(key string, p *pace.Mailbox) bool { return d.lanes[key] == nil && p.IsFresh(now) })
}

// countLanes counts the lanes of an identity as they were when they looked
// last, and asking, whose mailbox was throttled just now.
func (d *Delivery) countLanes(identity string, asking *lane) pace.LaneCount {
	c := pace.LaneCount{All: 1, Slowed: 1}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		if s := l.view.get(); l != asking && s.Identity == identity {
			c.All++
			if s.slowed {
				c.Slowed++
			}
		}
	}
	return c
}

func (d *Delivery) rules() Rules {
	l := d.limits()
	return Rules{MaxAge: l.MaxAge, Unknown: l.Unknown, UnknownDelay: d.cfg.UnknownDelay}
}

// rulesFor adds what is remembered of the message that a answers.
func (d *Delivery) rulesFor(a answer, now time.Time) Rules {
	r := d.rules()
	r.Jitter = d.cfg.Rand()
	if a.probe != "" {
		r.HeldNow = d.holds.StoppedFor(a.probe, a.rec.Accepted, now)
	}
	if a.panicked {
		r.Panics = d.panicked(a.rec.ID)
	}
	if a.Outcome == outcome.Hold && a.Scope != outcome.ScopeMessage {
		r.Alone = d.holds.Struck(a.rec.ID, d.holdFor(a.Scope, a.identity.Name, a.rec, now).Key, now)
	}
	return r
}

// panicked counts the panics that a message has caused.
func (d *Delivery) panicked(id envelope.QueueID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.panics[id]++
	return d.panics[id]
}

// forgetSettled drops what is remembered of a message that will not be tried again.
func (d *Delivery) forgetSettled(id envelope.QueueID, s spool.State) {
	if s.Stored() != spool.Queued {
		d.holds.Forget(id)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.panics, id)
		delete(d.misreads, id)
	}
}
