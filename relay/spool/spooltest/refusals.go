package spooltest

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// refused makes a refusal now; each call is a minute later.
func (f *fixture) refused(change func(*spool.Refusal)) spool.Refusal {
	f.clock = f.clock.Add(time.Minute)
	r := spool.Refusal{First: f.clock, Last: f.clock, Count: 1, RefusalKey: spool.RefusalKey{
		Hour: spool.HourOf(f.clock), Addr: netip.MustParseAddr("10.1.2.3"), Client: "printers", Login: "scanner",
		Sender: addr("scanner@example.org"), Domain: "example.net", Code: 550, Status: reply.Enhanced{5, 7, 1},
		Reason: "recipient not allowed",
	}}
	if change != nil {
		change(&r)
	}
	return r
}

func (f *fixture) addRefusals(list ...spool.Refusal) {
	f.Helper()
	for page := range slices.Chunk(list, spool.MaxPage) {
		if _, err := f.store.AddRefusals(f.ctx, page); err != nil {
			f.Fatal(err)
		}
	}
}

func (f *fixture) wantRefusals(filter spool.RefusalFilter, want ...spool.Refusal) {
	f.Helper()
	got, err := f.store.Refusals(f.ctx, filter)
	f.must(err)
	if !slices.EqualFunc(got, want, func(a, b spool.Refusal) bool {
		return a.RefusalKey == b.RefusalKey && a.Count == b.Count && a.First.Equal(b.First) && a.Last.Equal(b.Last)
	}) {
		f.Errorf("%+v:\ngot  %+v\nwant %+v", filter, got, want)
	}
}

// refusalsCount makes one row of what has the same key, and rows of their own for
// the rest.
func refusalsCount(_ *testing.T, f *fixture) {
	first, again := f.refused(nil), f.refused(nil)
	again.Count = 3
	f.addRefusals(first)
	f.addRefusals(again, again)
	sum := first
	sum.Last, sum.Count = again.Last, 7
	f.wantRefusals(spool.RefusalFilter{}, sum)
	late := first
	late.First = first.First.Add(-30 * time.Second)
	f.addRefusals(late) // written later, but it happened before
	sum.First, sum.Count = late.First, 8
	want := []spool.Refusal{sum}
	for _, change := range []func(*spool.Refusal){
		func(r *spool.Refusal) { r.Hour = r.Hour.Add(time.Hour) },
		func(r *spool.Refusal) { r.Addr = netip.Addr{} },
		func(r *spool.Refusal) { r.Addr = netip.MustParseAddr("2001:db8::1") },
		func(r *spool.Refusal) { r.Client, r.Login = "", "" },
		func(r *spool.Refusal) { r.Login = "erp" },
		func(r *spool.Refusal) { r.Sender = addr("erp@example.org") },
		func(r *spool.Refusal) { r.Domain = "example.com" },
		func(r *spool.Refusal) { r.Code = 450 },
		func(r *spool.Refusal) { r.Status = reply.Enhanced{5, 1, 2} },
		func(r *spool.Refusal) { r.Reason = "recipient without a domain" },
	} {
		r := f.refused(change)
		f.addRefusals(r)
		want = append(want, r)
	}
	slices.Reverse(want)
	f.wantRefusals(spool.RefusalFilter{}, want...)
}

// refusalsFound asks for each thing alone, for all of them, and for pages.
func refusalsFound(_ *testing.T, f *fixture) {
	own := f.refused(nil)
	other := f.refused(func(r *spool.Refusal) {
		r.Addr, r.Client, r.Login = netip.MustParseAddr("2001:db8::1"), "erp", ""
		r.Sender, r.Domain = addr("erp@example.org"), "example.com"
	})
	stranger := f.refused(func(r *spool.Refusal) {
		addr := netip.MustParseAddr("192.0.2.1")
		r.RefusalKey = spool.RefusalKey{Hour: r.Hour, Addr: addr, Code: 554, Reason: "no client"}
	})
	various := f.refused(func(r *spool.Refusal) {
		r.Sender, r.Domain, r.Addr, r.Login = stranger.Sender, spool.Various, netip.Addr{}, ""
	})
	f.addRefusals(own, other, stranger, various)
	for _, c := range []struct {
		filter spool.RefusalFilter
		want   []spool.Refusal
	}{
		{spool.RefusalFilter{}, []spool.Refusal{various, stranger, other, own}},
		{spool.RefusalFilter{Addr: own.Addr}, []spool.Refusal{various, own}},
		{spool.RefusalFilter{Addr: stranger.Addr, Domain: "example.com"}, []spool.Refusal{various}},
		{spool.RefusalFilter{Client: "erp"}, []spool.Refusal{other}},
		{spool.RefusalFilter{Client: "er"}, nil},
		{spool.RefusalFilter{Sender: addr("ERP@example.org")}, []spool.Refusal{various, other}},
		{spool.RefusalFilter{Domain: "Example.COM"}, []spool.Refusal{various, other}},
		{spool.RefusalFilter{Client: "printers", Domain: "example.com"}, []spool.Refusal{various}},
		{spool.RefusalFilter{Since: other.Last}, []spool.Refusal{various, stranger, other}},
		{spool.RefusalFilter{Until: other.First}, []spool.Refusal{own}},
		{spool.RefusalFilter{Since: other.Last, Until: stranger.First}, []spool.Refusal{other}},
		{spool.RefusalFilter{Limit: 2}, []spool.Refusal{various, stranger}},
		{spool.RefusalFilter{Limit: 2, Skip: 3}, []spool.Refusal{own}},
		{spool.RefusalFilter{Skip: 9}, nil},
	} {
		f.wantRefusals(c.filter, c.want...)
	}
}

// refusalsBounded drops the oldest, counts them, and keeps the rest.
func refusalsBounded(_ *testing.T, f *fixture) {
	base := f.refused(nil)
	one := func(n int) spool.Refusal {
		r := base
		r.Domain, r.First = fmt.Sprintf("d%d.example.net", n), base.First.Add(time.Duration(n)*time.Second)
		r.Last, r.Count = r.First, 2
		return r
	}
	var list []spool.Refusal
	for n := range spool.MaxRefusals {
		list = append(list, one(n))
	}
	f.addRefusals(list...)
	again, fresh := list[0], one(spool.MaxRefusals)
	again.Last = fresh.Last.Add(time.Second)
	dropped, err := f.store.AddRefusals(f.ctx, []spool.Refusal{again, fresh, one(spool.MaxRefusals - 1)})
	if err != nil || dropped != 2 {
		f.Errorf("dropped %d, %v; want the 2 of one row", dropped, err)
	}
	again.Count = 4
	f.wantRefusals(spool.RefusalFilter{Limit: 2}, again, fresh)
	last := list[2]
	f.wantRefusals(spool.RefusalFilter{Skip: spool.MaxRefusals - 1, Limit: 2}, last)
}

func refusalsSwept(_ *testing.T, f *fixture) {
	var list []spool.Refusal
	for range 300 {
		list = append(list, f.refused(func(r *spool.Refusal) { r.Hour = f.clock }))
	}
	kept := f.refused(func(r *spool.Refusal) { r.Login = "" })
	f.addRefusals(append(list, kept)...)
	f.must(f.store.Sweep(f.ctx, kept.Last.Add(time.Hour), time.Hour, 0))
	f.wantRefusals(spool.RefusalFilter{}, kept)
}
