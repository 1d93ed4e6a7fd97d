package e2e_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// TestEveryRemedyOfAnAnswer has a message meet each row of the catalogue, does what
// the remedy of the row says, in the tenant or on this host, and wants the message
// sent and the fault gone. A row that nobody follows fails.
func TestEveryRemedyOfAnAnswer(t *testing.T) {
	for i, fact := range graph.Catalogue() {
		if fact.Advice == "" || fact.When == whenStopped { // which TestEveryAnswer follows
			continue
		}
		t.Run(fmt.Sprintf("%02d %s %s", i, fact.Of, firstWord(fact)), func(t *testing.T) {
			follow := remediesOfAnswers()[fact.Advice]
			if follow == nil {
				t.Fatalf("nobody follows %q", fact.Advice)
			}
			t.Parallel()
			m := meet(t, fact)
			m.wantRemedy()
			follow(m)
			m.wantGone()
		})
	}
}

// met is a message that has met a row of the catalogue.
type met struct {
	*harness.Relay
	t     *testing.T
	fact  graph.Fact
	d     *harness.Double
	wrong string // where the configuration says that the double is, if that is wrong
	trust []byte // more certificates for ca_file
	id    string // the queue ID
}

func meet(t *testing.T, f graph.Fact) *met {
	t.Helper()
	m := &met{t: t, fact: f, d: harness.NewDouble(t, mayWrite, func(o *sandbox.Options) {
		if strings.HasPrefix(f.Text, "This machine has no such") {
			o.MachineIdentities = []string{clientID}
		}
		o.Certificates, o.Secret = []*x509.Certificate{testCertificate(t)}, "a-good-secret"
	})}
	if f.When != whenNobody && f.When != whenNoEntra {
		m.d.Listen(t)
	}
	var s scenario
	var environment []string
	if f.Of == graph.OfMetadata {
		environment, s = metadataAt(t, m.d), metadataScenario(f)
		m.inject(m.d, s.fault)
	} else {
		s = m.scenario()
	}
	m.Relay = harness.NewRelay(t, m.d, harness.Env(environment...))
	a := &answered{dir: m.Dir, smtp: m.Addr, metrics: harness.FreeAddr(t)}
	harness.WriteFile(t, m.Config, strings.ReplaceAll(a.yaml(m.d, s, m.Dir), "a.sock", "admin.sock"))
	harness.WriteFile(t, filepath.Join(m.Dir, "secret"), "a-good-secret")
	harness.WriteFile(t, filepath.Join(m.Dir, "ca.pem"), string(m.d.CA())+string(m.trust))
	m.broken()
	m.Start()
	if f.When == whenUnreadable {
		a.hideBodies(t)
	}
	m.submit(rowID)
	harness.Until(t, longPatience, "the message to meet the row", func() bool {
		list := m.Queue()
		if len(list) == 0 || list[0].Reason == "" || list[0].State == "sending" {
			return false
		}
		m.id = list[0].QueueID
		return true
	})
	return m
}

// The rows without a server.
const (
	whenNobody  = "anything else before bytes have left: no route, refused, reset, timeout"
	whenNoEntra = "the same on the way to Entra"
)

// scenario is that of the row, with something that its remedy can be done to: what
// answers wrongly is another server than the double where the remedy is to name the
// right one.
func (m *met) scenario() scenario {
	s := scenarioOf(m.t, m.fact, m.d)
	s.delivery = strings.Trim("unknown_outcome: hold, "+s.delivery, ", ")
	switch {
	case m.fact.When == whenNobody || m.fact.When == whenNoEntra:
		s.graph, s.login = "", ""
	case strings.Contains(m.fact.When, "TLS fails"):
		s.graph, m.wrong = m.inspecting()
	case s.graph != "":
		m.wrong = s.graph
	case strings.Contains(m.fact.Advice, "endpoint") && !strings.HasPrefix(m.fact.Text, "Tenant"):
		other := harness.StartDouble(m.t)
		m.inject(other, s.fault)
		m.wrong, m.trust = other.URL(), other.CA()
		if s.graph = m.wrong; s.fault.Endpoint == "token" {
			s.graph, s.login = "", m.wrong
		}
		return s
	case m.fact.Of == graph.OfNumber && strings.Contains(m.fact.Advice, "certificate"):
		s.credential = "certificate_file: " + credentialFile("pkcs8.pem")
	}
	m.inject(m.d, s.fault)
	return s
}

func (m *met) inject(d *harness.Double, f sandbox.Fault) {
	m.t.Helper()
	if f.Endpoint == "" {
		return
	}
	if f.Endpoint == "sendMail" && !f.Early && d == m.d { // another has no login that it could read a message for
		f.MessageID = rowID
	}
	if err := d.Inject(f); err != nil {
		m.t.Fatal(err)
	}
}

// inspecting is a server that opens TLS on the way to the double, and its
// certificate.
func (m *met) inspecting() (at, certificate string) {
	to, err := url.Parse(m.d.URL())
	if err != nil {
		m.t.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(to)
	p.Transport = m.d.HTTPClient().Transport
	s := httptest.NewTLSServer(p)
	m.t.Cleanup(s.Close)
	return s.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// broken changes what the double has of its own for what a row is about, in place of
// a scripted answer.
func (m *met) broken() {
	is := func(text string) bool { return strings.HasPrefix(m.fact.Text, text) }
	native := true
	switch {
	case is("Client secret"):
		m.d.SetSecret("made-in-the-portal")
		native = is("Client secret is wrong")
	case is("Entra does not know the certificate"):
		m.d.SetCertificates()
	case is("Clock of this machine"):
		m.d.Advance(2 * time.Hour)
	case is("App does not exist"), is("Entra does not let the app log in"):
		m.edit("client_id: "+m.d.ClientID(), "client_id: 99999999-9999-9999-9999-999999999999")
	case is("Tenant does not exist"):
		m.edit("tenant_id: "+m.d.TenantID(), "tenant_id: 99999999-9999-9999-9999-999999999999")
	case is("This machine has no such managed identity"): // it has that of the app, and none of its own
	case is("Mailbox may not send as this From address"):
		m.edit("senders: [{address: "+harness.Sender+"}]",
			"senders: [{address: "+harness.Sender+", mailbox: box@contoso.com}]")
	case is("App may not send as this mailbox"):
		m.d.SetAllowed([]string{"other@contoso.com"})
		native = m.fact.Of == graph.OfGraph && m.fact.Match == ""
	case is("Mailbox does not exist in the tenant"):
		m.d.SetMailboxes([]string{"other@contoso.com"})
	default:
		native = false
	}
	if native {
		m.d.ClearFaults()
	}
}

// submit hands the message in that the row is about, or is not about any more.
func (m *met) submit(messageID string, more ...string) {
	m.t.Helper()
	text := "x\r\n"
	switch {
	case isOfLargeMail(m.fact):
		text = strings.Repeat(strings.Repeat("x", 70)+"\r\n", 3000)
	case m.fact.When == whenEarly: // more than the double takes before it reads
		text = strings.Repeat(strings.Repeat("x", 70)+"\r\n", 25000)
	}
	c := harness.Hello(m.t, m.Addr)
	defer c.Close()
	c.Want(c.Send(harness.Sender, append([]string{"someone@example.org"}, more...), "From: "+harness.Sender+
		"\r\nTo: someone@example.org\r\nSubject: x\r\nMessage-ID: "+messageID+"\r\n\r\n"+text), 250)
}

// wantRemedy wants the remedy where the administrator looks: at the message, and in
// the status where it is about more than one.
func (m *met) wantRemedy() {
	m.t.Helper()
	out := command(m.t, m.Relay, "status")
	if reason := m.Queue()[0].Reason; !strings.Contains(reason, m.fact.Advice) {
		m.t.Errorf("the message waits because of %q, without %q\n%s", reason, m.fact.Advice, out)
	}
	if m.fact.Outcome == outcome.Hold && m.fact.Scope != outcome.ScopeMessage &&
		!strings.Contains(out, "\n  what to do: "+m.fact.Advice) {
		m.t.Errorf("status does not say %q:\n%s", m.fact.Advice, out)
	}
	for _, c := range commandsIn(m.fact.Advice) {
		if c[0] == "cert" { // whose argument is in the configuration
			c = append(c, credentialFile("pkcs8.pem"))
		}
		if out, err := exec.Command(harness.Binary(m.t), c...).CombinedOutput(); err != nil && c[0] != "doctor" {
			m.t.Errorf("%v: %v: %s", c, err, out)
		}
	}
}

// wantGone wants the message sent, or its successor where it cannot be, and a status
// without a fault.
func (m *met) wantGone() {
	m.t.Helper()
	gone := func() bool {
		var s struct{ Problems []json.RawMessage }
		l := m.d.Ledger()
		return l[rowID]+l["<mended@client.example.org>"] > 0 && m.Status(&s) && len(s.Problems) == 0
	}
	sent := harness.Holds(longPatience, gone)
	if out := command(m.t, m.Relay, "status"); !sent || !strings.HasPrefix(out, "OK") {
		m.t.Fatalf("the message is not sent, or the fault is not gone: %v\n%s\n%s", m.d.Ledger(), out, m.Tail())
	}
}

func (m *met) edit(old, new string) {
	m.t.Helper()
	text := readFile(m.t, m.Config)
	if !strings.Contains(text, old) {
		m.t.Fatalf("no %q in\n%s", old, text)
	}
	harness.WriteFile(m.t, m.Config, strings.Replace(text, old, new, 1))
}

// configure changes the configuration, and has it read.
func (m *met) configure(old, new string) {
	m.t.Helper()
	m.edit(old, new)
	command(m.t, m.Relay, "reload")
}

// again tries what waits again: whoever has mended something need not wait.
func (m *met) again() {
	m.t.Helper()
	for _, c := range []string{"retry", "release"} {
		_, _ = m.Run("queue", c, "--all") // one of them has nothing to do
	}
}

// remediesOfAnswers are, by remedy, what an administrator does who follows it.
func remediesOfAnswers() map[string]func(*met) {
	all := map[string]func(*met){}
	for _, some := range []map[string]func(*met){remediesOfMessages(), remediesOfMailboxes(), remediesOfApps(),
		remediesOfTheWay()} {
		for text, f := range some {
			all[text] = f
		}
	}
	return all
}

// changed is what somebody does in the tenant, which the double then answers by.
func changed(do ...func(*met)) func(*met) {
	return func(m *met) {
		for _, f := range do {
			f(m)
		}
		m.d.ClearFaults()
		m.again()
	}
}

// corrected sends a message that is as the remedy wants it.
func corrected(m *met) { m.submit("<mended@client.example.org>") }

// smaller has the relay refuse at the door what the mailbox would not send.
func smaller(m *met) {
	m.configure("smtp: {", "smtp: {max_message_size: 64KiB, ")
	c := harness.Hello(m.t, m.Addr)
	defer c.Close()
	c.Want(c.Say("MAIL FROM:<"+harness.Sender+"> SIZE=100000"), 552)
	m.fact = graph.Fact{}
	corrected(m)
}

// atTheRightPlace names the double in the configuration.
func atTheRightPlace(m *met) { m.configure(m.wrong, m.d.URL()); m.again() }

// commandsIn are the commands of this program that a text names.
func commandsIn(text string) (all [][]string) {
	for _, m := range regexp.MustCompile(`graphrelay((?: [a-z]+)+)`).FindAllStringSubmatch(text, -1) {
		words := strings.Fields(m[1])
		all = append(all, words[:min(len(words), 2)])
	}
	return all
}
