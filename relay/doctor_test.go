package relay

import (
	"bufio"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"graphrelay/config"
)

func TestListeningSockets(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:0019 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:09DD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
 a line of another kind
`
	for port, want := range map[uint16][]string{25: {"4711"}, 2525: {"4713"}, 26: nil} {
		if got := listening(bufio.NewScanner(strings.NewReader(table)), port); !slices.Equal(got, want) {
			t.Errorf("port %d: %v, want %v", port, got, want)
		}
	}
}

func TestUnitState(t *testing.T) {
	s := unitState("LoadState=loaded\nActiveState=active\nUser=graphrelay\n\nOdd\n")
	if s["LoadState"] != "loaded" || s["User"] != "graphrelay" || s["Odd"] != "" {
		t.Errorf("%v", s)
	}
}

func TestListenersThatANetworkReaches(t *testing.T) {
	const file = `
identities:
  - tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    certificate_file: entra.pem
senders:
  - address: a@contoso.com
clients:
  - {name: erp, networks: [10.1.2.0/24]}
smtp:
  listeners:
    - address: 127.0.0.1:25
    - address: 10.1.2.1:25
    - address: unix:/run/graphrelay/submit.sock
    - address: "[::]:2525"
`
	c, err := config.Parse("config.yaml", []byte(file), "/etc/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	d := &doctor{c: c}
	for network, want := range map[string]string{
		"10.1.2.0/24":   "10.1.2.1:25 [::]:2525",
		"127.0.0.0/8":   "127.0.0.1:25 10.1.2.1:25 [::]:2525",
		"2001:db8::/32": "[::]:2525",
	} {
		if got := strings.Join(d.listenersFor(netip.MustParsePrefix(network)), " "); got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
}
