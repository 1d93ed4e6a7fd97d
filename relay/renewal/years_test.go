package renewal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/setup/certificate"
)

var theKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// newPair is certificate.New with one small key for all, which saves minutes.
func newPair(r certificate.Request) (certificate.Pair, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return certificate.Pair{}, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: r.Name},
		NotBefore: r.Now.Add(-5 * time.Minute), NotAfter: r.Now.AddDate(0, 0, r.Days)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, theKey().Public(), theKey())
	if err != nil {
		return certificate.Pair{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(theKey())
	if err != nil {
		return certificate.Pair{}, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	info, err := certificate.Read(text, "")
	return certificate.Pair{PEM: text, Cer: der, Info: info}, err
}

var spring = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// known is a certificate as Entra knows it.
type known struct {
	Key
	added time.Time
}

// world is a tenant, a relay that sends mail all the time, and the time.
type world struct {
	t     *testing.T
	now   time.Time
	file  string
	keys  []known
	count int

	propagation time.Duration
	longest     time.Duration // by policy
	readable    bool

	// broken says how an operation fails now: not at all, before it has an effect, or
	// after.
	broken func(op string) (err error, after bool)

	sent, verified map[string]bool
	switches       []string // thumbprints that were seen in the file
	stopped        time.Duration
	last           time.Time
	removed        []string
	tries          []time.Time // of logins with the next certificate, since one failed
}

func (w *world) begin(op string) (err error, after bool) {
	if w.broken == nil {
		return nil, false
	}
	return w.broken(op)
}

func (w *world) find(thumbprint string) int {
	return slices.IndexFunc(w.keys, func(k known) bool { return k.Thumbprint == thumbprint })
}

// valid reports whether a login with a certificate works at every login server.
func (w *world) valid(thumbprint string, everywhere bool) bool {
	i := w.find(thumbprint)
	if i < 0 || w.now.After(w.keys[i].End) {
		return false
	}
	late := w.propagation
	if !everywhere { // at one of three, which take turns
		late = w.propagation * time.Duration(w.count%3) / 2
	}
	return !w.now.Before(w.keys[i].added.Add(late))
}

func (w *world) Login(_ context.Context, pair string) error {
	w.count++
	if err, _ := w.begin("login"); err != nil {
		w.tries = nil
		return err
	}
	k, err := Examine(pair)
	if err != nil {
		return err
	}
	if !w.valid(k.Thumbprint, false) {
		w.tries = nil
		return &Refusal{Code: "invalid_client"}
	}
	if k.Thumbprint != w.inForce() {
		w.tries = append(w.tries, w.now)
	}
	return nil
}

// tried reports whether twelve logins in a row have succeeded, five minutes apart.
func (w *world) tried() bool {
	last, n := time.Time{}, 0
	for _, at := range w.tries {
		if at.Sub(last) >= 5*time.Minute {
			last, n = at, n+1
		}
	}
	return n >= 12
}

func (w *world) Keys(_ context.Context, pair string) (list []Key, _ error) {
	if err, _ := w.begin("keys"); err != nil {
		return nil, err
	}
	if !w.readable {
		return nil, &Refusal{Code: "Authorization_RequestDenied"}
	}
	for _, k := range w.keys {
		list = append(list, k.Key)
	}
	return list, nil
}

// proves reports whether a pair can prove anything.
func (w *world) proves(pair string) bool {
	k, err := Examine(pair)
	i := w.find(k.Thumbprint)
	return err == nil && i >= 0 && !w.now.After(w.keys[i].End)
}

func (w *world) Add(_ context.Context, pair string, cer []byte) (Key, error) {
	err, after := w.begin("add")
	if err != nil && !after {
		return Key{}, err
	}
	cert, parseErr := x509.ParseCertificate(cer)
	if parseErr != nil {
		w.t.Fatal(parseErr)
	}
	info, _ := certificate.Read(cer, "")
	k := Key{Thumbprint: info.SHA1, ID: "id-" + info.SHA1[:8], Start: cert.NotBefore, End: cert.NotAfter}
	switch {
	case !w.proves(pair):
		return Key{}, &Refusal{Code: "Authentication_MissingOrMalformed"}
	case w.longest > 0 && cert.NotAfter.Sub(w.now) > w.longest:
		return Key{}, &Refusal{Code: lifetimeCode}
	case w.find(k.Thumbprint) >= 0:
		return Key{}, &Refusal{Code: "Request_BadRequest"}
	}
	w.keys = append(w.keys, known{k, w.now})
	return k, err
}

func (w *world) Remove(_ context.Context, pair, id string) error {
	err, after := w.begin("remove")
	if err != nil && !after {
		return err
	}
	i := slices.IndexFunc(w.keys, func(k known) bool { return k.ID == id })
	if i < 0 {
		return &Refusal{Code: "Request_ResourceNotFound"}
	}
	gone, inForce := w.keys[i].Thumbprint, w.inForce()
	if gone == inForce || !w.sent[inForce] || !w.proves(pair) {
		w.t.Errorf("%s: %s is removed, and %s is in force (sent %v)", w.now, gone, inForce, w.sent[inForce])
	}
	if slices.Contains(w.switches, gone) && (!w.verified[inForce] || !w.now.After(w.keys[i].End)) {
		w.t.Errorf("%s: %s is removed before its end, or before the restriction was verified", w.now, gone)
	}
	w.keys = slices.Delete(w.keys, i, i+1)
	w.removed = append(w.removed, gone)
	return err
}

func (w *world) Sent(_ context.Context, thumbprint string) bool {
	if err, _ := w.begin("sent"); err != nil {
		return false
	}
	return w.sent[thumbprint]
}

func (w *world) Verify(context.Context) error {
	err, _ := w.begin("verify")
	if err == nil {
		w.verified[w.inForce()] = true
	}
	return err
}

func (w *world) inForce() string {
	k, err := Examine(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	return k.Thumbprint
}

// mail sends a message, or notes since when none can be sent.
func (w *world) mail() {
	k := w.inForce()
	if !slices.Contains(w.switches, k) {
		if w.switches = append(w.switches, k); len(w.switches) > 1 && !w.tried() {
			w.t.Errorf("%s: a certificate came into force untried", w.now)
		}
		w.tries = nil
	}
	if w.valid(k, true) {
		w.sent[k] = true
	} else if w.last.Before(w.now) && !w.last.IsZero() {
		w.stopped += w.now.Sub(w.last)
	}
	w.last = w.now
}

// quick is a folder in memory, where there is one: two years flush many notes.
func quick(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "renewal")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newWorld(t *testing.T, days int) *world {
	w := &world{t: t, now: spring, file: filepath.Join(quick(t), "entra.pem"), sent: map[string]bool{},
		verified: map[string]bool{}}
	pair, err := newPair(certificate.Request{Name: "relay", Days: days, Now: spring})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.file, pair.PEM, 0o640); err != nil {
		t.Fatal(err)
	}
	first := Key{Thumbprint: pair.Info.SHA1, ID: "first", Start: spring, End: pair.Info.NotAfter}
	w.keys = []known{{Key: first}}
	return w
}

func (w *world) roller() *Roller {
	return New(Config{Identity: "contoso", File: w.file, Tenant: w, Service: w, New: newPair,
		Now: func() time.Time { return w.now }})
}

// live lets the time pass until end, with a step whenever one is due. lose says
// whether the program is killed after an action, before the note was written.
func (w *world) live(end time.Time, lose func(Action) bool) {
	for r := w.roller(); w.now.Before(end); {
		w.mail()
		before, _ := os.ReadFile(NotePath(w.file))
		action, next, err := r.Step(context.Background())
		if err != nil {
			w.t.Fatalf("%s: %s: %v", w.now, action, err)
		}
		if lose != nil && action != Wait && lose(action) {
			_ = os.Remove(NotePath(w.file))
			if before != nil {
				if err := os.WriteFile(NotePath(w.file), before, 0o640); err != nil {
					w.t.Fatal(err)
				}
			}
			r = w.roller()
		}
		w.now = w.now.Add(min(max(next.Sub(w.now), time.Second), 5*24*time.Hour))
	}
}

// check holds what is true after two years whatever happened.
func (w *world) check(renewals int, stopped time.Duration) {
	w.t.Helper()
	if n := len(w.switches) - 1; n < renewals {
		note, _ := ReadNote(w.file)
		w.t.Errorf("%d renewals in two years, want %d: %+v", n, renewals, note)
	}
	if w.stopped > stopped {
		w.t.Errorf("no mail for %s", w.stopped)
	}
	if !w.valid(w.inForce(), true) {
		w.t.Error("the certificate in force is of no use")
	}
	if len(w.keys) > 6 { // the first one, and one whose addition nobody saw, have no known ID
		w.t.Errorf("%d certificates are left in the app", len(w.keys))
	}
	if info, err := os.Stat(w.file); err != nil || info.Mode().Perm() != 0o640 {
		w.t.Error(info.Mode(), err)
	}
}

// spell is a failure that begins with the first call of an operation in each
// renewal, and lasts.
func (w *world) spell(op string, lasts time.Duration, failure error, after bool) func(string) (error, bool) {
	renewal, began := -1, time.Time{}
	return func(called string) (error, bool) {
		if called != op {
			return nil, false
		}
		if renewal != len(w.keys)+len(w.switches) && renewal < len(w.switches) {
			renewal, began = len(w.switches), w.now
		}
		if w.now.Sub(began) > lasts {
			return nil, false
		}
		return failure, after
	}
}

const twoYears = 2 * 365 * 24 * time.Hour

// A certificate of half a year renews itself for two years, whatever fails at each
// step: mail never stops, and none is removed before another one has sent mail.
func TestTwoYearsOfFailures(t *testing.T) {
	network, refused := errors.New("connection refused"), &Refusal{Code: "Directory_Error"}
	for _, op := range []string{"login", "keys", "add", "remove", "sent", "verify"} {
		for name, failure := range map[string]struct {
			err   error
			lasts time.Duration
			after bool
		}{
			"never":                          {nil, 0, false},
			"no network once":                {network, 0, false},
			"no network for a day":           {network, 24 * time.Hour, false},
			"refused once":                   {refused, 0, false},
			"refused for a day":              {refused, 24 * time.Hour, false},
			"refused for fifty hours":        {refused, 50 * time.Hour, false},
			"the answer is lost once":        {network, 0, true},
			"the answer is lost for an hour": {network, time.Hour, true},
		} {
			if failure.after && op != "add" && op != "remove" {
				continue // the others change nothing
			}
			t.Run(op+": "+name, func(t *testing.T) {
				w := newWorld(t, 180)
				w.propagation, w.readable = 20*time.Minute, len(name)%2 == 0
				w.broken = w.spell(op, failure.lasts, failure.err, failure.after)
				w.live(spring.Add(twoYears), nil)
				w.check(4, 0)
			})
		}
	}
}

// The program is killed after each action, before it could remember it.
func TestTwoYearsOfKills(t *testing.T) {
	for _, a := range []Action{Look, Make, Add, Try, Switch, Prove, Remove} {
		t.Run(string(a), func(t *testing.T) {
			w := newWorld(t, 180)
			w.propagation = 20 * time.Minute
			killed := -1
			w.live(spring.Add(twoYears), func(done Action) bool {
				if done != a || killed == len(w.switches) {
					return false
				}
				killed = len(w.switches)
				return true
			})
			w.check(4, 0)
		})
	}
}

// A policy of the tenant caps the lifetime: a shorter one is taken.
func TestAPolicyCapsTheLifetime(t *testing.T) {
	w := newWorld(t, 730)
	w.longest = 200 * 24 * time.Hour
	w.live(spring.Add(3*365*24*time.Hour), nil)
	w.check(2, 0)
	if k, _ := Examine(w.file); k.days() != 180 {
		t.Errorf("the certificate lives %d days", k.days())
	}
}

// The new certificate is taken away from the app after the switch, before mail was
// sent with it: the old one is in force again, and another one follows.
func TestANewCertificateVanishes(t *testing.T) {
	for name, at := range map[string]Stage{"while it is tried": Trying, "after the switch": Switched} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 180)
			once := false
			w.broken = func(op string) (error, bool) {
				n, _ := ReadNote(w.file)
				if i := w.find(n.New.Thumbprint); n.Stage == at && i >= 0 && !once {
					once = true
					w.keys = slices.Delete(w.keys, i, i+1)
				}
				if op == "sent" && n.Stage == Switched && !w.valid(n.New.Thumbprint, true) {
					return errors.New("nothing was sent"), false
				}
				return nil, false
			}
			if at == Switched { // the relay is idle at that time
				w.sent = map[string]bool{}
			}
			w.live(spring.Add(twoYears), nil)
			w.check(4, 90*time.Minute)
			if !once {
				t.Error("it did not happen")
			}
		})
	}
}

// Two relays with copies of one certificate: the second one waits, then renews its
// own copy, and neither loses mail.
func TestTwoRelaysShareACertificate(t *testing.T) {
	for _, readable := range []bool{false, true} {
		one := newWorld(t, 180)
		one.readable = readable
		second := filepath.Join(quick(t), "entra.pem")
		data, _ := os.ReadFile(one.file)
		if err := os.WriteFile(second, data, 0o640); err != nil {
			t.Fatal(err)
		}
		two := *one
		two.file = second
		a, b := one.roller(), two.roller()
		b.Host = "relay02"
		both := func(w *world, r *Roller) time.Time {
			w.mail()
			_, next, err := r.Step(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		waited := false
		for one.now.Before(spring.Add(twoYears)) {
			next := both(one, a)
			two.keys, two.now = one.keys, one.now
			if other := both(&two, b); other.Before(next) {
				next = other
			}
			one.keys = two.keys
			n, _ := ReadNote(second)
			waited = waited || n.Stranger.Thumbprint != ""
			one.now = one.now.Add(min(max(next.Sub(one.now), time.Second), 12*time.Hour))
			two.now = one.now
		}
		one.check(4, 0)
		two.check(4, 0)
		if waited != readable {
			t.Errorf("the second relay waited: %v", waited)
		}
	}
}
