//go:build torture

package torture

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/e2e/harness"
)

const (
	hostileAt = "127.0.0.2"
	deviceAt  = "127.0.0.3"
	// stopGrace is TimeoutStopSec of the unit.
	stopGrace = 90 * time.Second
	// memoryKiB is what the relay may have used at most.
	memoryKiB = 250_000
)

// One client does everything that it is allowed, on the twenty connections of a client:
// full-size messages that are made to be costly, wrong passwords, messages that it never
// ends, and a loop of mail. Every mail of another client is accepted at the first try and
// delivered, memory stays bounded, and SIGTERM ends the service while all that goes on.
// How long the other client waits is a figure, and no condition.
func TestHostileClient(t *testing.T) {
	seconds := time.Duration(rounds(t, "HOSTILE_SECONDS", 300, 15)) * time.Second
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	d := harness.StartDouble(t, harness.NoThrottling())
	device := &otherClient{t: t, sent: map[string]bool{}}
	d.Watch(device.arrived)
	r := harness.StartRelay(t, d, harness.With("smtp", "    auth: optional", "    plaintext_auth: [127.0.0.0/8]"),
		harness.With("top", "local_client: false", "clients:", "  - {name: hostile, networks: [127.0.0.2]}",
			"  - {name: device, networks: [127.0.0.3]}",
			"  - {name: printer, username: printer, password_hash: \""+string(hash)+"\"}"))
	device.addr = r.Addr
	calm := device.send(min(seconds/3, 20*time.Second))
	h := attack(r.Addr)
	defer h.end()
	hit := device.send(seconds)
	memory := r.Memory("VmHWM")
	began := time.Now()
	if err := r.Stop(stopGrace); err != nil {
		t.Errorf("SIGTERM during the attack: %v\n%s", err, r.Tail())
	}
	stopped := time.Since(began)
	h.end()
	if memory > memoryKiB {
		t.Errorf("the relay has used %d KiB, want at most %d", memory, memoryKiB)
	}
	r.Start() // on the queue that the attack has left
	began = time.Now()
	if !harness.Holds(time.Minute+2*seconds, func() bool { return device.pending() == 0 }) {
		t.Errorf("%d mails of the other client were accepted and did not arrive", device.pending())
	}
	t.Logf("figures: for 250 the other client waits %s (median), %s (99 %%) alone, and %s, %s beside the attack",
		at(calm, 0.5), at(calm, 0.99), at(hit, 0.5), at(hit, 0.99))
	t.Logf("figures: memory %d MB; SIGTERM took %s; then all had arrived after %s; the attack: %s", memory/1000,
		stopped.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), h)
}

// at is a quantile.
func at(times []time.Duration, share float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[int(share*float64(len(times)-1))].Round(100 * time.Microsecond)
}

// otherClient sends a mail after the other, each on a connection of its own.
type otherClient struct {
	t    *testing.T
	addr string
	mu   sync.Mutex
	sent map[string]bool // and not arrived, by Message-ID
	n    int
}

func (o *otherClient) send(long time.Duration) (times []time.Duration) {
	o.t.Helper()
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		o.n++
		id := fmt.Sprintf("<device-%d@torture.example.org>", o.n)
		o.mu.Lock()
		o.sent[id] = true
		o.mu.Unlock()
		began := time.Now()
		c := harness.HelloFrom(o.t, deviceAt, o.addr)
		c.Send(harness.Sender, []string{"a@example.org"}, "From: "+harness.Sender+
			"\r\nTo: a@example.org\r\nSubject: a scan\r\nMessage-ID: "+id+"\r\n\r\na few words\r\n")
		times = append(times, time.Since(began))
		c.Close()
	}
	return times
}

func (o *otherClient) arrived(m harness.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sent, m.MessageID)
}

func (o *otherClient) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent)
}

// hostile is the client that attacks.
type hostile struct {
	addr  string
	ctx   context.Context
	end   func()
	mu    sync.Mutex
	codes map[string]int // of its answers, by what it did
}

func (h *hostile) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.codes)
}

// attack begins on twenty connections, five of each kind.
func attack(addr string) *hostile {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hostile{addr: addr, ctx: ctx, codes: map[string]int{}}
	var all sync.WaitGroup
	h.end = func() { cancel(); all.Wait() }
	var number atomic.Int64
	for range 5 {
		for what, act := range map[string]func(*attacker, int64){
			"large": (*attacker).large, "guess": (*attacker).guess,
			"draft": (*attacker).draft, "loop": (*attacker).loop,
		} {
			all.Go(func() {
				for ctx.Err() == nil {
					h.connect(what, func(a *attacker) { act(a, number.Add(1)) })
				}
			})
		}
	}
	return h
}

// attacker is one connection.
type attacker struct {
	h    *hostile
	what string
	c    net.Conn
	in   *bufio.Reader
}

func (h *hostile) connect(what string, act func(*attacker)) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(hostileAt)}}
	c, err := from.DialContext(h.ctx, "tcp", h.addr)
	if err != nil {
		pause(h.ctx, 50*time.Millisecond)
		return
	}
	defer c.Close()
	defer context.AfterFunc(h.ctx, func() { c.Close() })()
	a := &attacker{h, what, c, bufio.NewReader(c)}
	if a.read() != 220 || a.say("EHLO hostile.example.org") != 250 {
		pause(h.ctx, 50*time.Millisecond)
		return
	}
	act(a)
}

func (a *attacker) read() int {
	r, err := harness.ReadReply(a.c, a.in)
	if err != nil {
		return 0
	}
	if r.Code >= 400 || r.Code == 235 {
		a.count(r.Code)
	}
	return r.Code
}

func (a *attacker) count(code int) {
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	a.h.codes[fmt.Sprint(a.what, " ", code)]++
}

func (a *attacker) say(line string) int {
	if _, err := a.c.Write([]byte(line + "\r\n")); err != nil {
		return 0
	}
	return a.read()
}

// begin opens a transaction and sends a text, without its end.
func (a *attacker) begin(parameters, text string) bool {
	if a.say("MAIL FROM:<"+harness.Sender+">"+parameters) != 250 || a.say("RCPT TO:<a@example.org>") != 250 ||
		a.say("DATA") != 354 {
		return false
	}
	_, err := a.c.Write([]byte(text))
	return err == nil
}

const hostileSize = 2 << 20 // below smtp.max_message_size

// large sends the costly messages in turn; a second later the next, for they are kept
// until they are delivered.
func (a *attacker) large(n int64) {
	from := "From: " + harness.Sender
	if n%2 == 0 {
		from = "From: nobody@elsewhere.example" // refused when all has been read
	}
	shapes := costly()
	if a.begin("", from+"\r\nTo: a@example.org\r\n"+shapes[int(n)%len(shapes)]+"\r\n") && a.say(".") == 250 {
		a.count(250)
	}
	pause(a.h.ctx, time.Second)
}

// costly are messages that readers spend much on.
var costly = sync.OnceValue(func() []string {
	fill := func(s string) string { return strings.Repeat(s, hostileSize/len(s)) }
	parts := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	label := "a@xn--" + strings.Repeat("a", 20) + strings.Repeat("b9z", 12)
	nested := parts
	for i := range 200 {
		nested += fmt.Sprintf("--b\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n", i)
	}
	quote := "--b\r\nContent-Type: text/plain; name=\"" + strings.Repeat(`\"x `, 900) + "\r\n\r\nx\r\n"
	return []string{
		parts + fill(quote),
		"Cc: " + strings.Repeat(label+",\r\n ", 9_000) + "b@example.org\r\n\r\nx",
		strings.Repeat("X-Field: x\r\n", 9_900) + "\r\n" + fill("y"),
		nested + fill("--b199\r\n\r\nx\r\n"),
		"Subject: " + fill("=?utf-8?q?=41?= ")[:900_000] + "\r\n\r\nx",
	}
})

// guess tries passwords until the connection ends.
func (a *attacker) guess(n int64) {
	for i := 0; a.h.ctx.Err() == nil; i++ {
		plain := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x00printer%d\x00guess", int(n)+i))
		if a.say("AUTH PLAIN "+plain) == 0 {
			return
		}
	}
}

// draft declares the largest message, sends half of it, and waits.
func (a *attacker) draft(int64) {
	text := "From: " + harness.Sender + "\r\n\r\n" + strings.Repeat(strings.Repeat("z", 70)+"\r\n", hostileSize/2/72)
	if a.begin(fmt.Sprintf(" SIZE=%d", hostileSize), text) {
		a.count(354)
		pause(a.h.ctx, 30*time.Second)
	}
}

// loop sends small mail as fast as it is accepted.
func (a *attacker) loop(int64) {
	for a.begin("", "From: "+harness.Sender+"\r\nTo: a@example.org\r\nSubject: again\r\n\r\nagain\r\n") {
		if a.say(".") != 250 {
			return
		}
		a.count(250)
	}
}
