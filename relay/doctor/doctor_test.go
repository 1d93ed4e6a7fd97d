package doctor

import (
	"bufio"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"graphrelay/config"
	"graphrelay/relay/verify"
)

// configured is the least configuration that there is, and more.
func configured(t *testing.T, more string) *config.Config {
	t.Helper()
	const least = `
identities:
  - tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    certificate_file: entra.pem
senders:
  - address: a@contoso.com
`
	c, err := config.Parse("config.yaml", []byte(least+more), "/etc/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

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

// With the packages' configuration systemd holds the port, and that is well.
func TestWhoHoldsAPort(t *testing.T) {
	tcp, systemd := "127.0.0.1:25", "systemd:smtp"
	for name, c := range map[string]struct {
		listener string
		running  bool
		holders  []string
		taken    bool
		mark     verify.Mark
		text     string
	}{
		"free":                             {tcp, false, nil, false, verify.OK, "free"},
		"ours":                             {tcp, true, []string{"graphrelay"}, true, verify.OK, "held by graphrelay"},
		"ours, handed over by systemd":     {systemd, true, []string{"graphrelay", "systemd"}, true, verify.OK, "held by graphrelay"},
		"systemd's, before the first mail": {systemd, false, []string{"systemd"}, true, verify.OK, "for a socket unit"},
		"systemd's, for somebody else":     {tcp, true, []string{"systemd"}, true, verify.Warn, "held by systemd"},
		"somebody else's":                  {tcp, false, []string{"master"}, true, verify.Fail, "held by master"},
		"not wanted":                       {"127.0.0.1:2525", false, []string{"master"}, true, verify.Warn, "held by master"},
		"not to be looked at":              {tcp, false, nil, true, verify.Warn, "another user"},
	} {
		conf := configured(t, "smtp: {listeners: [{address: '"+c.listener+"'}]}\n")
		var got Symptom
		d := &examiner{c: conf, running: c.running, report: func(s Symptom) { got = s }}
		d.port(25, c.holders, c.taken)
		if got.Mark != c.mark || !strings.Contains(got.Text, c.text) || got.Mark != verify.OK && got.Remedy == "" {
			t.Errorf("%s: %+v", name, got)
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
	const more = `clients:
  - {name: erp, networks: [10.1.2.0/24]}
smtp:
  listeners:
    - address: 127.0.0.1:25
    - address: 10.1.2.1:25
    - address: unix:/run/graphrelay/submit.sock
    - address: "[::]:2525"
`
	c := configured(t, more)
	d := &examiner{c: c}
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

// The doctor goes the way of the mail: to the hosts of the cloud, through the
// proxy of the identity.
func TestDoctorGoesTheWayOfTheMail(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	file := filepath.Join(t.TempDir(), "proxy")
	if err := os.WriteFile(file, []byte(strings.Replace(proxy.URL, "//", "//relay:hunter2@", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for cloud, want := range map[string]string{
		"usgov":     "CONNECT login.microsoftonline.us:443, CONNECT graph.microsoft.us:443",
		"usgov-dod": "CONNECT login.microsoftonline.us:443, CONNECT dod-graph.microsoft.us:443",
	} {
		for _, id := range []config.Identity{
			{Proxy: config.ProxyURL(proxy.URL)}, {ProxyFile: config.Path(file)},
		} {
			mu.Lock()
			asked = nil
			mu.Unlock()
			id.Name, id.TenantID, id.ClientID, id.CertificateFile, id.Cloud = "contoso", "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222", "/nowhere/entra.pem", cloud
			var told []Symptom
			d := &examiner{report: func(s Symptom) { told = append(told, s) }}
			if d.reach(t.Context(), id) {
				t.Error("the proxy refused, and the way is said to be open")
			}
			authorized := ""
			if id.ProxyFile != "" {
				authorized = "Basic " + base64.StdEncoding.EncodeToString([]byte("relay:hunter2"))
			}
			mu.Lock()
			for i, a := range asked {
				bare, found := strings.CutSuffix(a, " "+authorized)
				if asked[i] = bare; !found {
					t.Errorf("%s: %q, want it to log in with %q", cloud, a, authorized)
				}
			}
			if got := strings.Join(asked, ", "); got != want || len(told) != 2 {
				t.Errorf("%s: %s, want %s; told %v", cloud, got, want, told)
			}
			mu.Unlock()
			if s := fmt.Sprint(told); strings.Contains(s, "hunter2") || !strings.Contains(s, "through the proxy") {
				t.Error(s)
			}
		}
	}
}

// ca_file is trusted, and a bad one is told of.
func TestDoctorTrustsTheRootsOfTheIdentity(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	dir := t.TempDir()
	ca, bad := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bad.pem")
	for name, data := range map[string][]byte{ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), bad: []byte("x")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]bool{ca: true, bad: false} {
		id := config.Identity{Name: "contoso", TenantID: "11111111-1111-1111-1111-111111111111", ClientID: "22222222-2222-2222-2222-222222222222", CertificateFile: "/nowhere/entra.pem",
			CAFile: config.Path(file), Endpoints: &config.Endpoints{Login: config.BaseURL(server.URL), Graph: config.BaseURL(server.URL)}}
		var told []Symptom
		d := &examiner{report: func(s Symptom) { told = append(told, s) }}
		if got := d.reach(t.Context(), id); got != want {
			t.Errorf("%s: %v, told %v", file, got, told)
		}
	}
}
