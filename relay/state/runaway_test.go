package state_test

import (
	"strings"
	"testing"

	"graphrelay/relay/state"
)

// A loop is an alarm, a nightly batch is none, and each alarm says first what is
// wrong, then who it is and how to stop it.
func TestRunaways(t *testing.T) {
	busy := func(c ...state.ClientHour) state.Snapshot {
		return state.Snapshot{QueueAlarm: 5000, ClientAlarm: 5000, Clients: c}
	}
	deep := busy(state.ClientHour{Client: "printers", Messages: 4000})
	deep.Queued, deep.Deferred, deep.Paused, deep.Held = 4000, 1000, 1, 9000
	full := deep
	full.Paused = 0
	off := busy(state.ClientHour{Client: "erp", Messages: 9000, Same: 9000, Addr: "10.1.2.3"})
	off.QueueAlarm, off.ClientAlarm, off.Queued = 0, 0, 9000
	for _, c := range []struct {
		name string
		s    state.Snapshot
		want string // keys
		text string // begins one of them
		does string // part of it
	}{
		{"a batch to many", busy(state.ClientHour{Client: "erp", Messages: 5000, Same: 40, Addr: "10.1.2.3"}),
			"", "", ""},
		{"more than that", busy(state.ClientHour{Client: "erp", Messages: 5001, Same: 40, Addr: "10.1.2.3"}),
			"runaway:erp", "Client erp sent 5001 messages in an hour; ",
			"graphrelay queue delete --client erp;"},
		{"a busy device", busy(state.ClientHour{Client: "printers", Messages: 1500, Same: 1000, Addr: "10.1.2.3"}),
			"", "", ""},
		{"a loop", busy(state.ClientHour{Client: "printers", Messages: 1500, Same: 1001, Addr: "10.1.2.3"}),
			"runaway:printers",
			"Client printers sent 1500 messages in an hour, 1001 from 10.1.2.3 to the same recipients; ",
			"graphrelay queue delete --client 10.1.2.3;"},
		{"a loop on this host", busy(state.ClientHour{Client: "local", Messages: 1001, Same: 1001, Addr: "unix"}),
			"runaway:local", "Client local sent 1001 messages in an hour, 1001 from unix to the same recipients; ",
			"graphrelay queue delete --client local;"},
		{"deep", deep, "queue:depth",
			"5001 messages are waiting; ",
			"most of the last hour's mail is from client printers (4000); see graphrelay queue list; stop a flood " +
				"with graphrelay queue hold or queue delete, by --client and --subject"},
		{"not so deep", full, "", "", ""},
		{"without thresholds", off, "", "", ""},
	} {
		var keys []string
		for key, f := range state.Faults(c.s, noon) {
			if key == "queue:held" {
				continue
			}
			keys = append(keys, key)
			if f.Headline+"; " != c.text || !strings.Contains(f.Remedy, c.does) || !f.Warning {
				t.Errorf("%s: %+v", c.name, f)
			}
			if len(f.Headline) > 100 {
				t.Errorf("%s: the cause has %d characters: %s", c.name, len(f.Headline), f.Headline)
			}
		}
		if strings.Join(keys, " ") != c.want {
			t.Errorf("%s: faults %v, want %s", c.name, keys, c.want)
		}
	}
}
