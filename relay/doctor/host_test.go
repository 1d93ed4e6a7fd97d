package doctor

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/config"
)

// As systemctl show prints the units of sockets.
const shownSockets = `Listen=127.0.0.1:25 (Stream)
Listen=[::1]:25 (Stream)
FileDescriptorName=smtp
Id=graphrelay-smtp.socket
Triggers=graphrelay.service
ActiveState=active
UnitFileState=enabled

Listen=127.0.0.1:587 (Stream)
FileDescriptorName=submission
Id=graphrelay-submission.socket
Triggers=graphrelay.service
ActiveState=inactive
UnitFileState=disabled

Listen=/run/dbus/system_bus_socket (Stream)
FileDescriptorName=dbus.socket
Id=dbus.socket
Triggers=dbus.service
ActiveState=active
UnitFileState=static

Listen=/run/graphrelay/submit.sock (Stream)
FileDescriptorName=submit
Id=graphrelay-submit.socket
Triggers=graphrelay.service
ActiveState=inactive
UnitFileState=enabled
`

func TestReadsTheSocketUnitsOfTheService(t *testing.T) {
	var got []string
	for _, s := range parseSockets(shownSockets) {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	want := `{"ID":"graphrelay-smtp.socket","Name":"smtp","Addresses":["127.0.0.1:25","[::1]:25"],` +
		`"Enabled":true,"Active":true}
{"ID":"graphrelay-submission.socket","Name":"submission","Addresses":["127.0.0.1:587"],"Enabled":false,"Active":false}
{"ID":"graphrelay-submit.socket","Name":"submit","Addresses":["/run/graphrelay/submit.sock"],"Enabled":true,` +
		`"Active":false}`
	if strings.Join(got, "\n") != want {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// A port is opened by the socket unit that has its name or its address; one below
// 1024 without a unit is what the service's own process says about it.
func TestJudgesWhoOpensAPort(t *testing.T) {
	enabled := unit{"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active"}
	fresh := unit{"LoadState": "loaded", "UnitFileState": "disabled", "ActiveState": "inactive"}
	for _, c := range []struct {
		listener string
		u        unit
		found    string // "" for none
		next     string
	}{
		{"systemd:smtp", enabled, "", ""},
		{"127.0.0.1:25", enabled, "", ""},
		{"systemd:submission", enabled, "needs graphrelay-submission.socket, which is not enabled; " +
			"run: systemctl enable graphrelay-submission.socket && systemctl restart graphrelay", ""},
		{"systemd:submission", fresh, "", "graphrelay-submission.socket graphrelay-submit.socket graphrelay.service"},
		{"127.0.0.1:587", fresh, "", "graphrelay-submission.socket graphrelay-submit.socket graphrelay.service"},
		{"systemd:other", enabled, "has no socket unit that opens it for graphrelay.service; " +
			"write one of the names that socket units have: smtp, submission, submit", ""},
		{"systemd:smtp", nil, "needs systemd, which does not run on this host or does not answer; write IP:PORT", ""},
		{"127.0.0.2:25", enabled, config.NeedsPrivilege + "; run: systemctl edit graphrelay-smtp.socket, and write " +
			"under [Socket]: ListenStream=127.0.0.2:25; then: ", ""},
		{"127.0.0.1:26", enabled, config.NeedsPrivilege + "; write a port from 1024 up, or run: " +
			"systemctl edit graphrelay, and write under [Service]: AmbientCapabilities=CAP_NET_BIND_SERVICE", ""},
	} {
		conf := configured(t, "smtp: {listeners: [{address: '"+c.listener+"'}]}\n")
		const key = "smtp.listeners[0].address"
		h := Host{}
		if !strings.HasPrefix(c.listener, "systemd:") {
			h.Found = []config.Problem{conf.Problem(key, config.NeedsPrivilege, "")}
		}
		j := &portJudge{c: conf, u: c.u, host: &h, taken: nobody}
		if c.u != nil {
			j.units = parseSockets(shownSockets)
		}
		j.all()
		found := ""
		for _, p := range h.Found {
			found += p.Wrong + "; " + p.Remedy
		}
		if (c.found == "") != (found == "") || !strings.HasPrefix(found, c.found) {
			t.Errorf("%s: found %q, want %q", c.listener, found, c.found)
		}
		if !strings.HasSuffix(h.Next, c.next) || (c.next == "") != (h.Next == "") {
			t.Errorf("%s: next %q, want %q", c.listener, h.Next, c.next)
		}
	}
}

func nobody(string) (wrong, remedy string) { return "", "" }

// A socket that is open and that no listener names is worth a warning.
func TestWarnsOfASocketThatNobodyNames(t *testing.T) {
	h := Host{}
	j := &portJudge{c: configured(t, "smtp: {listeners: [{address: 127.0.0.1:2525}]}\n"), host: &h, taken: nobody,
		units: parseSockets(shownSockets)}
	j.all()
	if len(h.Warnings) != 1 || !strings.Contains(h.Warnings[0].String(), "names no socket of graphrelay-smtp.socket: "+
		"its clients are answered 421") {
		t.Errorf("%v", h.Warnings)
	}
}

func TestReadsTheUnitOfTheService(t *testing.T) {
	u := parseUnit("LoadState=loaded\nUser=relay\nActiveState=inactive\nUnitFileState=disabled\n" +
		"AmbientCapabilities=cap_chown cap_net_bind_service\nExecStart={ path=/usr/bin/graphrelay ; " +
		"argv[]=/usr/bin/graphrelay serve -c /etc/relay/a.yaml ; ignore_errors=no ; pid=0 }\n")
	if unit(u).configuration() != "/etc/relay/a.yaml" || unit(u).user() != "relay" || !unit(u).fresh() ||
		!unit(u).has("AmbientCapabilities", "cap_net_bind_service") {
		t.Errorf("%q", u)
	}
	if (unit)(nil).user() != "graphrelay" || unit(nil).configuration() != "" || unit(nil).fresh() {
		t.Error("without a unit")
	}
	for code, want := range map[int]string{217: "systemd-sysusers", 226: "sandbox names is missing", 243: "credential",
		238: "ls -ld", 1: "", 203: ""} {
		got := unit(u).failed(code)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%d: %q", code, got)
		}
	}
}

// Who reads the answer need not be the user that was judged by: he is named.
func TestNamesTheUserThatWasJudgedBy(t *testing.T) {
	h := Host{Wrong: "a store that this user may open", Warnings: []config.Problem{{Wrong: "not for this user"}},
		Found: []config.Problem{{Key: "smtp", Wrong: config.NeedsPrivilege, Remedy: "let this user in"}}}
	h.name("graphrelay")
	for got, want := range map[string]string{
		h.Wrong: "a store that user graphrelay may open", h.Warnings[0].Wrong: "not for user graphrelay",
		h.Found[0].Wrong:  "needs a privilege that user graphrelay lacks: the port is below 1024",
		h.Found[0].Remedy: "let user graphrelay in",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What stands for the service answers for a configuration that it gets, not for
// one that it reads.
func TestAnswersInThePlaceOfTheService(t *testing.T) {
	dir := t.TempDir()
	q := question{File: filepath.Join(dir, "config.yaml"), Own: true, Sandbox: true, Text: []byte(`
identities:
  - tenant_id: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    certificate_file: ${CREDENTIALS_DIRECTORY}/entra.pem
    ca_file: /root/none/ca.pem
senders:
  - address: a@contoso.com
smtp: {listeners: [{address: "127.0.0.1:0"}], tls: {certificate_file: /unseen/tls.crt, key_file: /unseen/tls.key}}
queue: {store: "sqlite:queue.db"}
admin: {address: "unix:` + filepath.Join(dir, "admin.sock") + `"}
`)}
	in, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Answer(t.Context(), bytes.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	got := config.Errors(a.Found).Error()
	for _, want := range []string{"config.yaml: cannot be read by the service: no such file",
		"certificate_file: is a credential that systemd does not hand over",
		"ca_file: is in a folder that the service does not see",
		"certificate_file: is in a folder that the service does not see"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if len(a.Found) != 5 {
		t.Errorf("found %s", got)
	}
}
