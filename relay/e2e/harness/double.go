package harness

import (
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
)

// Message is one sendMail that the double accepted.
type Message struct {
	At         time.Time
	Mailbox    string
	MessageID  string
	Recipients []string // who gets it, as the double reads the header
	Raw        []byte   // the MIME as it came
}

// Double is a double of Entra and Graph with a fixed address, listening or not.
type Double struct {
	*sandbox.Double
	addr string

	mu       sync.Mutex
	messages []Message
	watch    func(Message)
}

// DoubleSetting changes a double's options.
type DoubleSetting func(*sandbox.Options)

// Latency is what every sendMail takes.
func Latency(l time.Duration) DoubleSetting { return func(o *sandbox.Options) { o.Latency = l } }

// NoThrottling takes any number of concurrent requests for a mailbox.
func NoThrottling() DoubleSetting {
	return func(o *sandbox.Options) { o.MaxConcurrentPerMailbox = -1 }
}

// CountOnly makes a double that counts and keeps nothing: Received stays empty.
func CountOnly() DoubleSetting {
	return func(o *sandbox.Options) { o.Keep, o.OnMessage = -1, nil }
}

// NewDouble makes a double that does not listen yet.
func NewDouble(t testing.TB, settings ...DoubleSetting) *Double {
	t.Helper()
	d := &Double{addr: FreeAddr(t)}
	// OnMessage fetches each body at once, so few need to be kept inside.
	o := sandbox.Options{Keep: 1024, KeepBytes: 1 << 30, OnMessage: d.take}
	for _, s := range settings {
		s(&o)
	}
	inner, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.Double = inner
	t.Cleanup(func() { inner.Close() })
	return d
}

// StartDouble makes a double that listens.
func StartDouble(t testing.TB, settings ...DoubleSetting) *Double {
	t.Helper()
	d := NewDouble(t, settings...)
	d.Listen(t)
	return d
}

// Listen begins to listen.
func (d *Double) Listen(t testing.TB) {
	t.Helper()
	if err := d.Start(d.addr); err != nil {
		t.Fatal(err)
	}
}

// URL is where the double listens, or will.
func (d *Double) URL() string { return "https://" + d.addr }

// CA is the certificate that a client of the double must trust, in PEM.
func (d *Double) CA() []byte { return d.CAPEM() }

// Watch hands every further message to f instead of keeping it.
func (d *Double) Watch(f func(Message)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watch = f
}

func (d *Double) take(m sandbox.Message) {
	raw, _ := d.Raw(m.ID)
	message := Message{At: m.At, Mailbox: m.Mailbox, MessageID: m.MessageID, Recipients: m.Recipients, Raw: raw}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watch != nil {
		d.watch(message)
		return
	}
	d.messages = append(d.messages, message)
}

// Received lists the messages so far, in order of arrival.
func (d *Double) Received() []Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.messages)
}

// WaitFor waits until n messages have arrived and returns them.
func (d *Double) WaitFor(t testing.TB, n int, limit time.Duration) []Message {
	t.Helper()
	if !Holds(limit, func() bool { return len(d.Received()) >= n }) {
		t.Fatalf("%d of %d messages arrived within %v", len(d.Received()), n, limit)
	}
	return d.Received()
}
