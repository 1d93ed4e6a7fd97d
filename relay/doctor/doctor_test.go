package doctor

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
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
	"graphrelay/relay/socket"
	"graphrelay/relay/spool/sqlite"
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

// The tables are the kernel's (proc(5)); a program that holds the socket is found
// by its open files.
func TestWhoListensOnAPort(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	const zeros = " 00000000:00000000 00:00000000 00000000     0        0 "
	const none6, tail = "00000000000000000000000000000000:0000", " 1 0 100 0 0 10 0\n"
	dir := t.TempDir()
	files := map[string]string{
		"net/tcp": head + "   0: 0100007F:0019 00000000:0000 0A" + zeros + "4711" + tail +
			"   1: 0100007F:0019 0100007F:C001 01" + zeros + "4712" + tail +
			"   2: 0100007F:09DD 00000000:0000 0A" + zeros + "4713" + tail,
		"net/tcp6": head + "   0: 00000000000000000000000000000000:0019 " + none6 + " 0A" + zeros + "4714" + tail,
		"1/comm":   "systemd\n", "7/comm": "master\n", "8/comm": "sleep\n",
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	for _, link := range [][2]string{{"1/fd/3", "4711"}, {"7/fd/0", "4714"}, {"7/fd/1", "4711"}, {"8/fd/1", "4712"}} {
		path := filepath.Join(dir, link[0])
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink("socket:["+link[1]+"]", path))
		if err != nil {
			t.Fatal(err)
		}
	}
	for port, want := range map[uint16]string{
		25: "[4711 4714] [master systemd] true", 2525: "[4713] [] true", 26: "[] [] false",
	} {
		holders, taken := whoHas(dir, port)
		names := namesOf(holders)
		if got := fmt.Sprint(socket.Listening(dir+"/net", port), names, taken); got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "net/tcp6")); err != nil {
		t.Fatal(err)
	}
	if got := socket.Listening(dir+"/net", 25); !slices.Equal(got, []string{"4711"}) {
		t.Errorf("without IPv6: %v", got)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// With the packages' configuration systemd holds the port, and that is well.
func TestWhoHoldsAPort(t *testing.T) {
	const tcp, systemd, other = "127.0.0.1:25", "systemd:smtp", "127.0.0.1:2525"
	const byUs = "held by graphrelay"
	list := func(names ...string) (all []holder) {
		for _, name := range names {
			all = append(all, holder{name: name})
		}
		return all
	}
	for name, c := range map[string]struct {
		listener string
		running  bool
		holders  []holder
		taken    bool
		mark     verify.Mark
		text     string
	}{
		"free":                             {tcp, false, nil, false, verify.OK, "free"},
		"ours":                             {tcp, true, list("graphrelay"), true, verify.OK, byUs},
		"ours, passed by systemd":          {systemd, true, list("graphrelay", "systemd"), true, verify.OK, byUs},
		"systemd's, before the first mail": {systemd, false, list("systemd"), true, verify.OK, "for a socket unit"},
		"systemd's, for somebody else":     {tcp, true, list("systemd"), true, verify.Warn, "held by systemd"},
		"somebody else's":                  {tcp, false, list("master"), true, verify.Fail, "held by master"},
		"not wanted":                       {other, false, list("master"), true, verify.Warn, "held by master"},
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

// What is wrong with the unit is named in the order in which it is to be fixed.
func TestJudgesTheUnit(t *testing.T) {
	s := map[string]string{}
	for _, c := range []struct {
		name, value string
		mark        verify.Mark
		text        string
	}{
		{"LoadState", "not-found", verify.Warn, "no unit"},
		{"LoadState", "loaded", verify.Fail, "the unit is "},
		{"ActiveState", "active", verify.Warn, "not enabled"},
		{"UnitFileState", "enabled", verify.Warn, "as root"},
		{"User", "root", verify.Warn, "as root"},
		{"User", "graphrelay", verify.Warn, "outside its sandbox"},
		{"NoNewPrivileges", "yes", verify.Warn, "outside its sandbox"},
		{"ProtectSystem", "strict", verify.OK, "as user graphrelay"},
	} {
		var got Symptom
		s[c.name] = c.value
		(&examiner{report: func(s Symptom) { got = s }}).unitState(s)
		if got.Mark != c.mark || !strings.Contains(got.Text, c.text) || got.Mark != verify.OK && got.Remedy == "" {
			t.Errorf("%s=%s: %+v", c.name, c.value, got)
		}
	}
}

// A store that is missing, in use, intact or no store.
func TestExaminesTheStore(t *testing.T) {
	dir := t.TempDir()
	c := configured(t, "queue: {store: 'sqlite:"+filepath.Join(dir, "queue.db")+"', min_free_space: 1}\n")
	var got []Symptom
	d := &examiner{c: c, report: func(s Symptom) { got = append(got, s) }}
	expect := func(mark verify.Mark, about, text string) {
		t.Helper()
		last := got[len(got)-1]
		if last.Mark != mark || last.About != about || !strings.Contains(last.Text, text) ||
			mark != verify.OK && last.Remedy == "" {
			t.Errorf("%+v, want %s: %s", last, mark, text)
		}
	}
	d.store(t.Context())
	expect(verify.OK, "spool", "does not exist yet")
	if _, err := OpenStopped(t.Context(), c); !errors.Is(err, ErrNoStore) {
		t.Error(err)
	}
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: c.Queue.Store.Path, BallastSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	d.store(t.Context())
	expect(verify.OK, "spool", "a running service uses it")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d.store(t.Context())
	expect(verify.OK, "spool", "is intact")
	d.disk()
	expect(verify.OK, "disk", "MiB free at "+dir)
	write(t, c.Queue.Store.Path, "this is not a database, and it is long enough to be read as one")
	d.store(t.Context())
	expect(verify.Fail, "spool", "")
	c.Queue.MinFreeSpace = 1 << 60
	d.disk()
	expect(verify.Fail, "disk", "below")
	c.Queue.Store.Path = filepath.Join(dir, "nowhere", "queue.db")
	d.disk()
	expect(verify.Fail, "disk", "cannot examine")
}

// A network of a client is near, far, or cut off from every listener.
func TestJudgesTheNetworksOfClients(t *testing.T) {
	c := configured(t, `clients:
  - {name: near, networks: [127.0.0.0/8]}
  - {name: far, networks: [10.1.2.0/24]}
smtp: {listeners: [{address: 127.0.0.1:25}]}
`)
	var got []string
	d := &examiner{c: c, report: func(s Symptom) { got = append(got, string(s.Mark)+" "+s.About+": "+s.Text) }}
	d.clients()
	d.c = configured(t, "clients: [{name: far, networks: [10.1.2.0/24]}]\nsmtp: {listeners: [{address: 0.0.0.0:25}]}\n")
	d.client("client far", c.Clients[1].Networks[0], nil)
	want := []string{
		"ok client near: 127.0.0.0/8 reaches 127.0.0.1:25 without a router",
		"fail client far: no listener can be reached from 10.1.2.0/24",
		"warn client far: 10.1.2.0/24 is another network, " +
			"so routers and firewalls decide whether it reaches 0.0.0.0:25",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if at := d.dialled("0.0.0.0:2525"); at != string(c.Hostname)+" 2525" {
		t.Errorf("a client would dial %s", at)
	}
}

func TestUnitState(t *testing.T) {
	s := parseUnit("LoadState=loaded\nActiveState=active\nUser=graphrelay\n\nOdd\n")
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
			id = withIDs(id)
			id.Cloud = cloud
			var symptoms []Symptom
			d := &examiner{report: func(s Symptom) { symptoms = append(symptoms, s) }}
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
			if got := strings.Join(asked, ", "); got != want || len(symptoms) != 2 {
				t.Errorf("%s: %s, want %s; symptoms %v", cloud, got, want, symptoms)
			}
			mu.Unlock()
			if s := fmt.Sprint(symptoms); strings.Contains(s, "hunter2") || !strings.Contains(s, "through the proxy") {
				t.Error(s)
			}
		}
	}
}

// ca_file is trusted, and a bad one is reported.
func TestDoctorTrustsTheRootsOfTheIdentity(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	dir := t.TempDir()
	ca, bad := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bad.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	write(t, bad, "x")
	for file, want := range map[string]bool{ca: true, bad: false} {
		url := config.BaseURL(server.URL)
		id := withIDs(config.Identity{CAFile: config.Path(file), Endpoints: &config.Endpoints{Login: url, Graph: url}})
		var symptoms []Symptom
		d := &examiner{report: func(s Symptom) { symptoms = append(symptoms, s) }}
		if got := d.reach(t.Context(), id); got != want {
			t.Errorf("%s: %v, symptoms %v", file, got, symptoms)
		}
	}
}

// withIDs is an identity whose certificate nobody needs to read.
func withIDs(id config.Identity) config.Identity {
	id.Name, id.CertificateFile = "contoso", "/nowhere/entra.pem"
	id.TenantID, id.ClientID = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	return id
}

// A port that systemd holds is freed by its socket unit, and never by stopping systemd.
func TestNobodyIsToldToStopSystemd(t *testing.T) {
	got := stopping([]holder{{name: "systemd"}})
	if strings.Contains(got, "stop systemd") || !strings.Contains(got, ".socket") {
		t.Error(got)
	}
	postfix := []holder{{"smtpd", "postfix.service", 9}, {"master", "postfix.service", 8}}
	if got := stopping(postfix); got != "stop master and smtpd (systemctl disable --now postfix.service)" {
		t.Error(got)
	}
	if got := stopping([]holder{{"nc", "session-1.scope", 9}}); got != "stop nc" {
		t.Error(got)
	}
}
