package spool

import (
	"slices"
	"testing"
	"time"

	"graphrelay/relay/envelope"
)

func TestHeldTime(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(0, n) }
	for _, c := range []struct {
		before                 time.Duration
		accepted, since, until int64
		want                   time.Duration
	}{
		{0, 10, 20, 50, 30},
		{0, 30, 20, 50, 20},
		{5, 30, 20, 60, 30}, // its age, not 45
		{7, 10, 20, 50, 37},
		{30, 10, 20, 50, 40}, // no more than its age
		{7, 60, 20, 50, 7},   // accepted later
		{7, 10, 50, 20, 7},   // the clock went back
	} {
		if got := HeldTime(c.before, at(c.accepted), at(c.since), at(c.until)); got != c.want {
			t.Errorf("HeldTime(%d, %d, %d, %d) = %d, want %d", c.before, c.accepted, c.since, c.until, got, c.want)
		}
	}
}

func TestStops(t *testing.T) {
	var a, b, c, none envelope.Address
	for to, s := range map[*envelope.Address]string{&a: "a@example.org", &b: "b@example.org", &c: "c@example.org"} {
		*to, _ = envelope.ParseAddress(s)
	}
	for _, one := range []struct {
		name          string
		hold          Hold
		mailbox, from envelope.Address
		want          bool
	}{
		{"its mailbox", Hold{Mailbox: a}, a, b, true},
		{"another mailbox", Hold{Mailbox: a}, b, b, false},
		{"an address in it", Hold{Mailbox: a, From: b}, a, b, true},
		{"another address in it", Hold{Mailbox: a, From: b}, a, c, false},
		{"any address in it", Hold{Mailbox: a, From: b}, a, none, true},
		{"a mailbox of the identity", Hold{Mailboxes: []envelope.Address{a, b}}, b, b, true},
		{"a mailbox of another", Hold{Mailboxes: []envelope.Address{a, b}}, c, c, false},
		{"an identity without mail", Hold{Identity: "contoso"}, c, c, false},
	} {
		got := one.hold.Reaches(one.mailbox) // some of its mail
		if one.from != none {
			got = one.hold.Stops(Message{Mailbox: one.mailbox, From: one.from})
		}
		if got != one.want {
			t.Errorf("%s: %v", one.name, got)
		}
	}
}

func TestShown(t *testing.T) {
	var box envelope.Address
	box, _ = envelope.ParseAddress("a@example.org")
	hold := []Hold{
		{Key: "client:a@example.org of erp", Mailbox: box, Client: "erp"}, {Key: "mailbox:a@example.org", Mailbox: box},
	}
	for _, c := range []struct {
		stored   State
		attempts int
		client   string
		holds    []Hold
		want     State
		by       string
	}{
		{Queued, 0, "", nil, Queued, ""},
		{Queued, 1, "", nil, Deferred, ""},
		{Queued, 0, "erp", hold[:1], Paused, "client:a@example.org of erp"},
		{Queued, 1, "erp", hold, Paused, "mailbox:a@example.org"},
		{Queued, 1, "ups", hold[:1], Deferred, ""},
		{Sending, 1, "erp", hold, Sending, ""},
		{Held, 1, "erp", hold, Held, ""},
		{Failed, 1, "erp", hold, Failed, ""},
	} {
		r := Record{State: c.stored, Attempts: c.attempts}
		r.Mailbox, r.Client.Name = box, c.client
		got, by := Shown(r, c.holds), ""
		if got.PausedBy != nil {
			by = got.PausedBy.Key
		}
		if got.State != c.want || by != c.by || got.State.Stored() != c.stored {
			t.Errorf("%s after %d attempts, client %q: %s by %q, want %s by %q",
				c.stored, c.attempts, c.client, got.State, by, c.want, c.by)
		}
	}
}

func TestParseStates(t *testing.T) {
	for name, want := range map[string][]State{
		"paused": {Paused}, "failed": {Failed}, "active": {Sending}, "bounced": {Failed},
		"waiting": {Queued, Deferred, Paused, Sending}, "": nil, "unknown": nil,
	} {
		got, err := ParseStates(name)
		if (err == nil) != (want != nil) || err == nil && !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}
