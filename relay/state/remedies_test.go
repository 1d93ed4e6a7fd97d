package state_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/state"
)

// What an alarm says is done, and what the relay then sees of itself is no fault.
func TestRemediesOfAlarmsAreFollowed(t *testing.T) {
	day := func(boxes ...string) (list []state.MailboxDay) {
		for _, b := range boxes {
			list = append(list, state.MailboxDay{Mailbox: b, Recipients: 8001 / len(boxes)})
		}
		return list
	}
	disk := func(free int64) state.Snapshot { return state.Snapshot{DiskSize: 100, DiskFree: free, DiskReserve: 10} }
	hour := func(messages int) state.Snapshot {
		return state.Snapshot{ClientAlarm: 5000, Clients: []state.ClientHour{
			{Client: "erp", Addr: "10.1.2.3", Messages: messages, Same: messages}}}
	}
	refused := state.InVain{Times: 3, First: noon, Last: noon, Cause: "From not allowed",
		Remedy: "correct the sender in the client"}
	seen := func(v state.InVain) state.Snapshot {
		return state.Snapshot{Seen: []state.Client{{Name: "erp", Addr: "10.1.2.3", InVain: v}}}
	}
	for remedy, row := range map[string]struct{ broken, followed state.Snapshot }{
		"free space on the disk of queue.store": {disk(19), disk(20)},
		"spread the mail over more mailboxes, with senders and mailbox in the configuration": {
			state.Snapshot{Mailboxes: day("a@b")}, state.Snapshot{Mailboxes: day("a@b", "c@b")}},
		"if that is a loop, stop the device, then graphrelay queue delete --client 10.1.2.3; rate of the client " +
			"limits it for good": {hour(1001), hour(1000)},
		"correct the sender in the client; see also graphrelay trace --client erp": {
			seen(refused), seen(state.InVain{})},
	} {
		said := ""
		for _, f := range state.Faults(row.broken, noon.Add(time.Minute)) {
			said += f.Remedy
		}
		if !strings.Contains(said, remedy) {
			t.Errorf("%q is not said: %q", remedy, said)
		}
		if got := state.Faults(row.followed, noon.Add(time.Minute)); len(got) != 0 {
			t.Errorf("after %q: %+v", remedy, got)
		}
	}
}
