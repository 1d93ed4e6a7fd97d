package state_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/state"
)

// A client is a fault if it is refused again and again and nothing of it accepted:
// the headline names it, what is wrong with what it sends, and who sends it.
func TestAClientThatIsRefusedInVain(t *testing.T) {
	client := func(name, addr, sender string, times int, ago time.Duration) state.Client {
		return state.Client{Name: name, Addr: addr, InVain: state.InVain{
			Times: times, First: noon.Add(-3 * time.Hour), Last: noon.Add(-ago), Sender: sender,
			Cause: "From not allowed", Remedy: "correct the sender in the client",
		}}
	}
	long := strings.Repeat("x", 60) + "@example.org"
	for name, c := range map[string]struct {
		seen []state.Client
		want string
	}{
		"a wrong sender": {[]state.Client{client("printers", "10.1.2.17", "scan@contoso.com", 3, time.Minute)},
			"Client printers is refused 3 times: From not allowed (scan@contoso.com from 10.1.2.17)"},
		"no sender": {[]state.Client{client("printers", "10.1.2.17", "", 4, time.Minute)},
			"Client printers is refused 4 times: From not allowed (10.1.2.17)"},
		"no room": {[]state.Client{client("printers", "10.1.2.17", long, 4, time.Minute)},
			"Client printers is refused 4 times: From not allowed"},
		"the one that tries most": {[]state.Client{client("printers", "10.1.2.17", "", 9, time.Minute),
			client("printers", "10.1.2.18", "", 40, time.Minute), client("printers", "10.1.2.19", "", 7, time.Minute)},
			"Client printers is refused 40 times: From not allowed (10.1.2.18)"},
		"too few":  {[]state.Client{client("printers", "10.1.2.17", "scan@contoso.com", 2, time.Minute)}, ""},
		"too long": {[]state.Client{client("printers", "10.1.2.17", "scan@contoso.com", 9, 2*time.Hour)}, ""},
		"accepted": {[]state.Client{{Name: "erp", Addr: "10.1.2.3", Accepted: 9, Refusals: 9}}, ""},
	} {
		h := state.Judge(state.Snapshot{Seen: c.seen}, noon)
		if len(h.Reasons) == 0 && c.want == "" {
			continue
		}
		f := h.Reasons[0]
		if f.Headline != c.want || !f.Since.Equal(noon.Add(-3*time.Hour)) || !f.Warning ||
			f.Remedy != "correct the sender in the client; see also graphrelay trace --client printers" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Mail that does not arrive comes before warnings of what may happen.
func TestARefusedClientComesBeforeOtherWarnings(t *testing.T) {
	s := state.Snapshot{Certificate: noon.Add(time.Hour), DiskSize: 100, DiskFree: 19, DiskReserve: 10,
		Seen: []state.Client{{Name: "erp", InVain: state.InVain{Times: 3, First: noon, Last: noon}}}}
	if got := state.Judge(s, noon.Add(time.Minute)).Reasons; len(got) != 3 || got[0].Key != "refused:erp" {
		t.Errorf("%+v", got)
	}
}
