package pace

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/pacing"
)

// perHour is a rate of the configuration.
var perHour = pacing.Rate{Count: 3, Per: time.Hour}

// TestAPaceIsCarried: what one node spent and was told, another one keeps to, as long as it would.
func TestAPaceIsCarried(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 3, 0, time.UTC)
	one, two := NewMailbox(), NewMailbox()
	one.SetRate(perHour)
	two.SetRate(perHour)
	if got := one.Text(now); got != "" {
		t.Errorf("one that has sent nothing says %s", got)
	}
	one.Spend(now, 60<<20)
	one.Spend(now.Add(time.Minute), 40<<20)
	one.Stop(now.Add(time.Minute), 5*time.Minute, 0)
	one.Throttled(now, now.Add(time.Minute), 4, 4)
	now = now.Add(90 * time.Second)
	text := one.Text(now)
	if got := one.Text(now.Add(5 * time.Second)); got != text {
		t.Errorf("time alone made %s of %s", got, text)
	}
	for _, said := range []string{text, text, ""} { // twice is once
		if err := two.Read(now, said); err != nil {
			t.Fatal(err)
		}
	}
	if got := two.Text(now); got != text {
		t.Errorf("it says\n%s, and was told\n%s", got, text)
	}
	for _, after := range []time.Duration{0, time.Minute, 3 * time.Minute, 10 * time.Minute, time.Hour} {
		at := now.Add(after)
		if a, b := one.Afford(at, 20<<20), two.Afford(at, 20<<20); a != b {
			t.Errorf("after %v 20 MB may be sent: %t, want %t", after, b, a)
		}
		if a, b := one.Pause(at), two.Pause(at); a != b {
			t.Errorf("after %v it pauses for %v, want %v", after, b, a)
		}
		if a, b := one.Slots(at, 4), two.Slots(at, 4); a != b {
			t.Errorf("after %v it has %d slots, want %d", after, b, a)
		}
		if a, b := one.Messages(at), two.Messages(at); a != b {
			t.Errorf("after %v %d messages may be sent, want %d", after, b, a)
		}
	}
}

// TestTheStricterPaceCounts: a node that gets a mailbox back remembers what it sent itself, and
// adds what the other one sent meanwhile.
func TestTheStricterPaceCounts(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 3, 0, time.UTC)
	one, two := NewMailbox(), NewMailbox()
	one.Spend(now, 30<<20)
	if err := two.Read(now, one.Text(now)); err != nil {
		t.Fatal(err)
	}
	two.Spend(now, 30<<20)
	two.Spend(now.Add(time.Minute), 30<<20)
	now = now.Add(time.Minute)
	if err := one.Read(now, two.Text(now)); err != nil {
		t.Fatal(err)
	}
	if one.upload.sum != two.upload.sum || one.requests.sum != two.requests.sum {
		t.Errorf("%d bytes in %d requests, want %d in %d",
			one.upload.sum, one.requests.sum, two.upload.sum, two.requests.sum)
	}
	before := one.Text(now)
	one.Spend(now, 1<<20)
	sum := one.upload.sum
	if err := one.Read(now, before); err != nil || one.upload.sum != sum {
		t.Errorf("after what it said before it knows of %d bytes, want %d: %v", one.upload.sum, sum, err)
	}
	// A clock that is behind takes it for spent now, and not for nothing.
	late := NewMailbox()
	if err := late.Read(now.Add(-time.Minute), two.Text(now)); err != nil || late.upload.sum != two.upload.sum {
		t.Errorf("a minute behind it knows of %d bytes, want %d: %v", late.upload.sum, two.upload.sum, err)
	}
	if late.Afford(now.Add(2*time.Minute), 30<<20) {
		t.Error("three minutes later it may send as much again")
	}
}

// TestADamagedPace is as good as none.
func TestADamagedPace(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 3, 0, time.UTC)
	m := NewMailbox()
	m.Spend(now, 1<<20)
	good := m.Text(now)
	for _, text := range []string{
		good[:len(good)-3], "{", "[]", "0", `{"slots":-1}`, `{"episodes":-1}`,
		strings.Replace(good, `"spent":[`, `"spent":[-5,`, 1),
		strings.Replace(good, `"spent":[`, `"spent":[9000000000000000000,`, 1),
		strings.Replace(good, `"spent":[`, `"spent":[`+strings.Repeat("1,", 40), 1),
		strings.Replace(good, `"last":`, `"last":-`, 1),
	} {
		fresh := NewMailbox()
		if err := fresh.Read(now, text); err == nil || !fresh.IsFresh(now) || fresh.Slots(now, 4) != 4 {
			t.Errorf("%s: %v, and it knows %s", text, err, fresh.Text(now))
		}
	}
	old := NewMailbox()
	if err := old.Read(now.Add(time.Hour), good); err != nil || !old.IsFresh(now.Add(time.Hour)) {
		t.Errorf("what is over for an hour: %v, and it knows %s", err, old.Text(now.Add(time.Hour)))
	}
}

func FuzzRead(f *testing.F) {
	now := time.Date(2026, 11, 30, 12, 0, 3, 0, time.UTC)
	m := NewMailbox()
	m.SetRate(perHour)
	m.Spend(now, 1<<20)
	m.Stop(now, time.Minute, 0)
	m.Throttled(now, now, 4, 4)
	f.Add(m.Text(now))
	f.Add(`{"upload":{"limit":150000000,"per":300000000000,"last":1,"spent":[1]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		m := NewMailbox()
		m.SetRate(perHour)
		_ = m.Read(now, text)
		m.Afford(now, 1<<20)
		if until := m.PausedUntil(now); until.After(now.Add(MaxDelay)) {
			t.Errorf("it pauses until %v", until)
		}
		if m.Slots(now, 4) < 1 || m.Slots(now, 4) > 4 {
			t.Errorf("it has %d slots", m.Slots(now, 4))
		}
		if err := NewMailbox().Read(now, m.Text(now)); err != nil {
			t.Errorf("it cannot read what it says itself, %s: %v", m.Text(now), err)
		}
	})
}
