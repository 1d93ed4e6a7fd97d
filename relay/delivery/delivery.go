package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/spool"
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
	Finder             Finder // for LookUp; without one what may have been sent is held
	MaxConcurrent      int    // requests at once for this mailbox; = 3
	IdentityConcurrent int    // requests at once for the whole identity; = 64
	Rate               Rate   // messages in a time for this mailbox; = no limit

	Uploader  Uploader // for what is too large for one request; nil: it bounces
	MIMELimit int64    // octets above which a message goes to the Uploader at once, or is held without one; 0 = no limit
}

// Config is what a Delivery works with. Store and Route are required.
type Config struct {
	Store        spool.Store
	Route        func(mailbox envelope.Address) (Route, bool) // asked before each step, so that a reload takes effect; must be fast
	MaxAge       time.Duration                                // queue.max_age; 0 = no limit
	MaxHold      time.Duration                                // queue.max_hold; 0 = no limit
	Unknown      UnknownOutcome                               // delivery.unknown_outcome
	UnknownDelay time.Duration                                // first delay after an unknown outcome; = 1 min
	Grace        time.Duration                                // for running attempts when Run ends; = 20 s
	Now          func() time.Time                             // = time.Now
	Rand         func() float64                               // 0 <= x < 1, for jitter; safe for use at once; = math/rand
	Log          *slog.Logger                                 // = none
	Reports      func() Reports                               // asked before each report; nil makes none
	Identity     func(name string) bool                       // tells whether it is configured still: holds of others end; nil is always
	Alarm        func(key, text string, firing bool)          // holds, reports that fail, damaged messages; must not block; may be nil
	OnEvent      func(Event)                                  // for metrics; called at once from many goroutines, must not block; may be nil
}

const (
	defaultGrace = 20 * time.Second
	cancelGrace  = 5 * time.Second // for a Sender to return after its context ended
	recordGrace  = 5 * time.Second // for the last outcomes to be recorded
)

// ErrNotStopped means that attempts or outcomes were still open when Run gave
// up waiting; the next start finds them as attempts of unknown outcome.
var ErrNotStopped = errors.New("delivery: stopped with attempts whose outcome is not recorded")

// Delivery sends the mail of a spool. Make one with New.
type Delivery struct {
	cfg     Config
	holds   *holds
	limit   atomic.Pointer[Limits]
	born    time.Time
	pollDue atomic.Int64 // when the next poll is due at the latest, since born

	stopping    chan struct{}
	restored    chan struct{}   // closed when the holds of earlier runs were read
	sendCtx     context.Context // of running attempts
	cancelSends context.CancelFunc
	storeCtx    context.Context // of writes to the store
	cancelStore context.CancelFunc
	pollWanted  chan struct{}
	lanesDone   sync.WaitGroup
	lost        atomic.Bool // an outcome could not be recorded before the end

	reportWanted  chan struct{}
	unsentReports atomic.Bool          // the alarm about them is on
	warned        map[string]time.Time // mailboxes whose delay the postmaster was warned of; of the goroutine of report

	started time.Time // set by Run before any lane

	mu         sync.Mutex
	running    bool
	lanes      map[string]*lane
	identities map[string]*identity
	panics     map[envelope.QueueID]int
	paces      map[string]*pace
	unread     map[string]envelope.Address // by identity: the mailbox that the alarm names which it may not search

	usage usage
}

// New makes a Delivery. Nothing happens before Run.
func New(cfg Config) *Delivery {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	d := &Delivery{cfg: cfg, holds: newHolds(cfg.Store), stopping: make(chan struct{}), restored: make(chan struct{}),
		pollWanted: make(chan struct{}, 1), reportWanted: make(chan struct{}, 1), lanes: map[string]*lane{}, identities: map[string]*identity{},
		panics: map[envelope.QueueID]int{}, paces: map[string]*pace{}, unread: map[string]envelope.Address{}, usage: usage{boxes: map[string]*boxUsage{}}, born: time.Now()}
	d.SetLimits(Limits{MaxAge: cfg.MaxAge, MaxHold: cfg.MaxHold, Unknown: cfg.Unknown})
	d.sendCtx, d.cancelSends = context.WithCancel(context.Background())
	d.storeCtx, d.cancelStore = context.WithCancel(context.Background())
	return d
}

// Limits are what a reload may change, beside what Route says.
type Limits struct {
	MaxAge  time.Duration // as in Config
	MaxHold time.Duration
	Unknown UnknownOutcome
}

// SetLimits changes the limits, for whatever is decided from now on.
func (d *Delivery) SetLimits(l Limits) { d.limit.Store(&l) }

func (d *Delivery) limits() Limits { return *d.limit.Load() }

// Run sends mail until ctx ends, and then returns as the package comment says:
// nil, or ErrNotStopped. It is called once. A store that cannot be read at the
// start is tried again.
func (d *Delivery) Run(ctx context.Context) error {
	d.started = d.cfg.Now()
	if d.restore(ctx) {
		d.pollAgainIn(0)
		d.setRunning(true)
		var keepers sync.WaitGroup
		keepers.Go(func() { d.poll(ctx) })
		keepers.Go(func() { d.expireHeld(ctx) })
		keepers.Go(func() { d.report(ctx) })
		keepers.Go(func() { d.loadUsage(ctx) })
		<-ctx.Done()
		d.setRunning(false)
		keepers.Wait()
	}
	return d.stop()
}

// restore reads the holds of earlier runs; false when ctx ended first.
func (d *Delivery) restore(ctx context.Context) bool {
	for tries := 0; ; tries++ {
		stored, err := d.cfg.Store.Holds(ctx)
		if err == nil {
			d.holds.restore(stored, d.cfg.Now())
			close(d.restored)
			for _, h := range stored {
				d.logHoldBegins(h)
			}
			return true
		}
		wait := doubled(time.Second, tries, 30*time.Second)
		if ctx.Err() == nil {
			d.cfg.Log.Error("the queue cannot be read; trying again", "after", wait, "error", err)
		}
		if !sleep(ctx, wait) {
			return false
		}
	}
}

func (d *Delivery) setRunning(running bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = running
	if !running {
		close(d.stopping)
	}
}

func (d *Delivery) stop() error {
	done := make(chan struct{})
	go func() { d.lanesDone.Wait(); close(done) }()
	defer d.cancelStore()
	defer d.cancelSends()
	for _, step := range []struct {
		wait time.Duration
		then func()
	}{{d.cfg.Grace, d.cancelSends}, {cancelGrace, d.cancelStore}, {recordGrace, func() {}}} {
		timer := time.NewTimer(step.wait)
		select {
		case <-done:
			timer.Stop()
			return d.stopped()
		case <-timer.C:
			step.then()
		}
	}
	return ErrNotStopped
}

func (d *Delivery) stopped() error {
	if d.lost.Load() {
		return ErrNotStopped
	}
	return nil
}

// Notify tells that a message for mailbox was committed. It does not block, and
// costs little; before Run it does nothing, for Run looks at what is there.
func (d *Delivery) Notify(mailbox envelope.Address) { d.tell(mailbox, news{fresh: true}) }

func (d *Delivery) tell(mailbox envelope.Address, n news) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return
	}
	key := mailbox.Key()
	l := d.lanes[key]
	if l == nil {
		l = newLane(d, mailbox, d.paceOf(key))
		d.lanes[key] = l
		d.lanesDone.Go(l.run)
	}
	l.tell(n)
}

// retire removes an idle lane, unless something was told to it meanwhile.
func (d *Delivery) retire(l *lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopping && l.told != (news{}) {
		return false
	}
	delete(d.lanes, l.key)
	return true
}

// ProbeNow probes every hold at once and looks at every lane again: call it
// after a reload, a changed credential file or an operator's release. With keys
// it probes these holds and no other.
func (d *Delivery) ProbeNow(keys ...string) {
	d.holds.probeNow(d.cfg.Now(), keys...)
	d.askPoll()
	d.wakeAll()
}

func (d *Delivery) wakeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		l.tell(news{})
	}
}

// route is Config.Route with its defaults.
func (d *Delivery) route(mailbox envelope.Address) (Route, bool) {
	r, ok := d.cfg.Route(mailbox)
	if r.MaxConcurrent <= 0 {
		r.MaxConcurrent = defaultSlots
	}
	if r.IdentityConcurrent <= 0 {
		r.IdentityConcurrent = defaultIdentitySlots
	}
	return r, ok
}

func (d *Delivery) identity(r Route) *identity {
	d.mu.Lock()
	id := d.identities[r.Identity]
	if id == nil {
		id = &identity{name: r.Identity}
		d.identities[r.Identity] = id
	}
	d.mu.Unlock()
	id.slots(d.cfg.Now(), r.IdentityConcurrent)
	return id
}

// holdMissing holds a mailbox without a route.
func (d *Delivery) holdMissing(mailbox envelope.Address, now time.Time) {
	h := missingRoute(mailbox, now)
	if d.holds.set(h) {
		d.logHoldBegins(h)
		d.lanesDone.Go(func() { d.saveHold(h.Key) })
	}
}

// endMissing ends that hold when the route is back.
func (d *Delivery) endMissing(mailbox envelope.Address) {
	if d.holds.none() {
		return
	}
	if h, ok := d.holds.end(routeKey(mailbox)); ok {
		d.lanesDone.Go(func() { d.endHold(h) })
	}
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
		r.HeldNow = d.holds.stoppedFor(a.probe, a.rec.Accepted, now)
	}
	if a.panicked {
		r.Panics = d.panicked(a.rec.ID)
	}
	if a.Outcome == outcome.Hold && a.Scope != outcome.ScopeMessage {
		r.Alone = d.holds.struck(a.rec.ID, scopeKey(a.Scope, a.identity.name, a.rec), now)
	}
	return r
}

func (d *Delivery) panicked(id envelope.QueueID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.panics[id]++
	return d.panics[id]
}

// forgetSettled drops what is remembered of a message that will not be tried again.
func (d *Delivery) forgetSettled(id envelope.QueueID, s spool.State) {
	if s == spool.Queued {
		return
	}
	d.holds.forget(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.panics, id)
}

// Status is a snapshot for operators.
type Status struct {
	Lanes []LaneStatus // lanes with mail, in order of mailbox
	Busy  int          // requests under way
	Holds []spool.Hold // in order of key
	Usage []Usage      // of mailboxes that sent something today, in order of mailbox
}

// Status tells what goes on. It reads memory only.
func (d *Delivery) Status() Status {
	d.mu.Lock()
	s := Status{Lanes: make([]LaneStatus, 0, len(d.lanes))}
	for _, l := range d.lanes {
		s.Lanes = append(s.Lanes, l.view())
	}
	d.mu.Unlock()
	for _, l := range s.Lanes {
		s.Busy += l.Busy
	}
	slices.SortFunc(s.Lanes, func(a, b LaneStatus) int { return strings.Compare(a.Mailbox.Key(), b.Mailbox.Key()) })
	s.Holds = d.holds.list()
	s.Usage = d.usage.list(d.cfg.Now())
	return s
}

// sleep waits for t, or returns false when ctx ended first.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
