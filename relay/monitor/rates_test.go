package monitor

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/state"
)

// A device in a loop is found among the other mail of its client, a batch to many is
// not taken for one, and after an hour both are forgotten.
func TestTheLastHourOfAClient(t *testing.T) {
	var r rates
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	for n := range 2000 {
		r.count(now, "erp", loop{"10.1.2.3", uint64(n)})
		r.count(now, "printers", loop{fmt.Sprintf("10.2.0.%d", n%200), uint64(n)})
		if n%2 == 0 {
			r.count(now, "printers", loop{"10.2.0.250", 7})
		}
		now = now.Add(time.Second)
	}
	list := r.lastHour(now)
	if len(list) != 2 || list[0].Client != "printers" || list[0].Messages != 3000 || list[1].Messages != 2000 {
		t.Fatalf("%+v", list)
	}
	if p := list[0]; p.Addr != "10.2.0.250" || p.Same < 900 || p.Same > 1000 {
		t.Errorf("the loop: %+v", p)
	}
	if e := list[1]; e.Same > 50 {
		t.Errorf("the batch: %+v", e)
	}
	for _, s := range r.clients["erp"] {
		if len(s.loops) > maxLoops {
			t.Errorf("a span remembers %d", len(s.loops))
		}
	}
	if list = r.lastHour(now.Add(30 * time.Minute)); len(list) != 2 || list[1].Messages >= 2000 {
		t.Errorf("half an hour later: %+v", list)
	}
	if list = r.lastHour(now.Add(time.Hour)); len(list) != 0 {
		t.Errorf("an hour later: %+v", list)
	}
	r.count(now.Add(time.Hour), "erp", loop{})
	if list = r.lastHour(now.Add(time.Hour)); len(list) != 1 || list[0] != (state.ClientHour{Client: "erp",
		Messages: 1, Same: 1}) {
		t.Errorf("the next message: %+v", list)
	}
}
