package admin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

// queueOf makes n messages, every third of them held, the rest queued.
func queueOf(n int) (*stock, []envelope.QueueID) {
	var all []spool.Record
	var ids []envelope.QueueID
	for i := range n {
		r := record(envelope.QueueID(fmt.Sprintf("%016d", i+1)))
		if i%3 == 0 {
			r.State = spool.Held
		}
		all, ids = append(all, r), append(ids, r.ID)
	}
	return stockOf(all...), ids
}

func (s *stock) states() map[spool.State]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[spool.State]int{}
	for _, r := range s.records {
		m[r.State]++
	}
	return m
}

// change runs one and returns the last progress.
func change(t *testing.T, c *Client, ch operator.Change) (last operator.Progress) {
	t.Helper()
	if err := c.Change(t.Context(), ch, func(p operator.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	return last
}

func TestChangeAllMatching(t *testing.T) {
	s, _ := queueOf(300)
	var woken []string
	var log bytes.Buffer
	c := serve(t, s, func(srv *Server) {
		srv.Operator.Wake = func(m envelope.Address) { woken = append(woken, m.String()) }
		srv.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	if p := change(t, c, operator.Change{Action: operator.Release}); p.Changed != 100 || p.Skipped != 0 || !p.Done {
		t.Errorf("release: %+v", p)
	}
	if len(woken) != 2 || woken[0] != "a@example.org" {
		t.Errorf("woken: %v, want the mailbox once a page", woken)
	}
	var steps int
	if err := c.Change(t.Context(), operator.Change{Action: operator.HoldIt},
		func(operator.Progress) { steps++ }); err != nil || steps < 300/64 {
		t.Errorf("hold told %d times of its progress, %v", steps, err)
	}
	if p := change(t, c, operator.Change{Action: operator.Delete,
		Filter: spool.Filter{Recipient: record("").Mailbox}}); p.Changed != 300 {
		t.Errorf("delete: %+v", p)
	}
	if got := s.states(); got[spool.Deleted] != 300 {
		t.Errorf("in the end: %v", got)
	}
	if r, _ := s.Get(t.Context(), s.records[0].ID); !strings.HasPrefix(r.LastText, "deleted by the operator (") {
		t.Errorf("the history says %q", r.LastText)
	}
	for _, want := range []string{"action=release", "uid=" + fmt.Sprint(os.Geteuid()),
		"filter=\"recipient=a%40example.org\"", "changed=300"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}

func TestChangeByID(t *testing.T) {
	s, ids := queueOf(6)
	s.records[1].State = spool.Sending
	c := serve(t, s)
	p := change(t, c, operator.Change{Action: operator.Retry, IDs: append(slices.Clone(ids), "0000000000000099")})
	if p.Changed != 5 || p.Skipped != 2 || len(p.Errors) != 2 {
		t.Errorf("retry: %+v; want the active and the unknown one left out", p)
	}
	if p := change(t, c, operator.Change{Action: operator.Release, IDs: ids[:1]}); p.Skipped != 1 ||
		!strings.Contains(p.Errors[0], "is queued, neither held nor paused") {
		t.Errorf("release of what is not held: %+v", p)
	}
	s.moveErr = spool.ErrUnhealthy
	err := c.Change(t.Context(), operator.Change{Action: operator.HoldIt, IDs: ids}, func(operator.Progress) {})
	if err == nil || !strings.Contains(err.Error(), "unhealthy") {
		t.Errorf("with a sick store: %v", err)
	}
}

func TestCountTravels(t *testing.T) {
	s, ids := queueOf(300)
	c := serve(t, s)
	for _, ch := range []struct {
		operator.Change
		want int
	}{
		{operator.Change{Action: operator.Delete}, 300}, {operator.Change{Action: operator.Release}, 100},
		{operator.Change{Action: operator.Delete, Filter: spool.Filter{Subject: "no such"}}, 0},
		{operator.Change{Action: operator.Delete, IDs: ids[:3]}, 3},
	} {
		if n, err := c.Count(t.Context(), ch.Change); err != nil || n.Messages != ch.want || n.More {
			t.Errorf("%+v: %+v, %v", ch.Change, n, err)
		}
	}
}

func TestBadChanges(t *testing.T) {
	s := &Server{Store: stockOf(), Log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct{ path, body string }{
		{"/v1/queue/explode", `{"all":true}`}, {"/v1/queue/delete", `{}`},
		{"/v1/queue/delete", `{"all":true,"ids":["0000000000000001"]}`},
		{"/v1/queue/delete", ``}, {"/v1/queue/delete", `{"ids":["../x"]}`},
		{"/v1/queue/delete?mailbx=a@b.example", `{"all":true}`},
		{"/v1/queue/delete?recipient=", `{"all":true}`},
	} {
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s %s = %d", c.path, c.body, w.Code)
		}
	}
}

func TestProbe(t *testing.T) {
	a := record("").Mailbox
	b, _ := envelope.ParseAddress("b@example.org")
	var probed []string
	c := serve(t, stockOf(), func(s *Server) {
		s.Operator.ProbeNow = func(keys ...string) { probed = keys }
		s.Operator.Holds = func() []spool.Hold {
			return []spool.Hold{
				{Key: "identity:contoso", Identity: "contoso"}, {Key: "mailbox:a", Mailbox: a},
				{Key: "mailbox:b", Mailbox: b},
			}
		}
	})
	for _, ask := range []struct {
		key     string
		mailbox envelope.Address
		want    []string
	}{
		{"", envelope.Address{}, []string{"identity:contoso", "mailbox:a", "mailbox:b"}},
		{"mailbox:b", envelope.Address{}, []string{"mailbox:b"}},
		{"", a, []string{"identity:contoso", "mailbox:a"}},
		{"mailbox:c", envelope.Address{}, []string{}},
	} {
		probed = nil
		got, err := c.Probe(t.Context(), ask.key, ask.mailbox)
		if err != nil || !slices.Equal(got, ask.want) || !slices.Equal(probed, ask.want) {
			t.Errorf("%q %q: %v, %v, probed %v, want %v", ask.key, ask.mailbox, got, err, probed, ask.want)
		}
	}
}

// A filter must arrive as it was sent.
func TestFilterTravels(t *testing.T) {
	a := record("").Mailbox
	full := spool.Filter{States: []spool.State{spool.Held, spool.Sent}, Mailbox: a, Client: "erp &=",
		Subject: "ä=&", Find: "f", Part: "p&",
		RecipientPart: "r", SenderPart: "s",
		ClientIP: netip.MustParseAddr("2001:db8::1"),
		Sender:   a, ReversePath: a, Recipient: a, MessageID: "<a+b@c>", Since: time.Unix(1, 5).UTC(),
		Until:  time.Unix(9, 0).UTC(),
		Newest: true, Undelivered: true, After: "0000000000000001", Limit: 7}
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test leaves %s out", v.Type().Field(i).Name)
		}
	}
	for _, f := range []spool.Filter{{}, full} {
		q, err := url.ParseQuery(values(f).Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := filterOf(q); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, f)
		}
	}
	for _, bad := range []string{"colour=red", "limit=0", "limit=1001", "since=yesterday", "mailbox=x", "after=x",
		"client_ip=x"} {
		q, _ := url.ParseQuery(bad)
		if _, err := filterOf(q); err == nil {
			t.Errorf("%s was understood", bad)
		}
	}
}

func TestWhoIsServed(t *testing.T) {
	for _, c := range []struct {
		who  string
		p    peer
		want bool
	}{
		{"root", peer{uid: 0}, true},
		{"the service itself", peer{uid: 990}, true},
		{"a member of the group", peer{uid: 1000, groups: []uint32{100, 991}}, true},
		{"anybody", peer{uid: 1000, groups: []uint32{100}}, false},
		{"somebody in root's group", peer{uid: 1000, groups: []uint32{0}}, false},
	} {
		if got := c.p.may(990, 991); got != c.want {
			t.Errorf("%s: %v", c.who, got)
		}
	}
}

func TestStrangersAreTurnedAway(t *testing.T) {
	s := &Server{Store: stockOf(record("0000000000000001")), Log: slog.New(slog.DiscardHandler)}
	for _, ctx := range []context.Context{
		t.Context(), context.WithValue(t.Context(), guestKey{}, guest{peer{uid: 1000}, false}),
	} {
		w := httptest.NewRecorder()
		s.onlyGuests(s.routes()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/queue", nil).WithContext(ctx))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "usermod -aG") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// The kernel says who is at the other end.
func TestPeerIsKnown(t *testing.T) {
	var seen guest
	c := serve(t, stockOf(), func(s *Server) {
		s.Status = func(ctx context.Context) (Status, error) {
			seen, _ = ctx.Value(guestKey{}).(guest)
			return Status{}, nil
		}
	})
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if int(seen.uid) != os.Geteuid() || !seen.welcome || !slices.Contains(seen.groups, uint32(os.Getegid())) {
		t.Errorf("seen %+v", seen)
	}
	if _, err := peerOf(nil); err == nil {
		t.Error("a peer without a unix socket")
	}
}
