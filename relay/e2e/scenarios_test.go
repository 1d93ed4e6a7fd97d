package e2e_test

import (
	"database/sql"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/graph"
	"graphrelay/relay/outcome"
	"graphrelay/relay/sandbox"
)

// scenario is how a row is reached: a fault of the double, or a server that is
// not where the configuration says.
type scenario struct {
	fault        sandbox.Fault
	login, graph string // endpoints in place of the double
	identity     string // further keys, ", key: value"
	credential   string // in place of the client secret
	delivery     string // keys of the section
}

// isOfLargeMail tells the answers to requests that only large mail needs.
func isOfLargeMail(f graph.Fact) bool { return f.Of == graph.OfDraft || f.Of == graph.OfDraftSend }

func scenarioOf(t *testing.T, f graph.Fact, d *harness.Double) scenario {
	t.Helper()
	switch f.Of {
	case graph.OfGraph:
		return scenario{fault: graphFault(f)}
	case graph.OfDraft, graph.OfDraftSend:
		s := scenario{fault: graphFault(f), delivery: "large_messages: upload, mime_limit: 128KiB"}
		s.fault.Endpoint = map[graph.Source]string{graph.OfDraft: "createDraft", graph.OfDraftSend: "send"}[f.Of]
		return s
	case graph.OfLogin:
		return scenario{fault: loginFault(f)}
	case graph.OfNumber:
		number, _ := strconv.Atoi(strings.TrimPrefix(strings.Fields(f.When)[0], "AADSTS"))
		return scenario{fault: sandbox.Fault{Endpoint: "token", Status: 401, Code: "invalid_client", AADSTS: number}}
	case graph.OfMetadata:
		for _, variable := range metadataAt(t, d) {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		return metadataScenario(f)
	}
	switch {
	case strings.Contains(f.When, "after bytes"):
		return scenario{fault: sandbox.Fault{Endpoint: "sendMail", Drop: sandbox.DropBody}}
	case f.When == whenEarly:
		return scenario{fault: sandbox.Fault{Endpoint: "sendMail", Status: 202, Early: true}}
	case strings.Contains(f.When, "TLS fails"):
		return scenario{graph: harness.StartDouble(t).URL()} // of another authority
	case strings.Contains(f.When, "name is not resolved"):
		return scenario{graph: "https://graph.invalid"}
	case strings.Contains(f.When, "the proxy refuses"):
		p := sandbox.NewProxy("", "") // which lets nothing out of this machine
		if err := p.Start(""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return scenario{graph: "https://192.0.2.1", identity: ", proxy: \"" + p.URL() + "\""}
	case strings.Contains(f.When, "anything else before bytes"):
		return scenario{graph: "https://" + harness.FreeAddr(t)}
	case strings.Contains(f.When, "on the way to Entra"):
		return scenario{login: "https://" + harness.FreeAddr(t)}
	case f.When == whenUnreadable:
		return scenario{} // hideBodies
	case f.When == whenStopped:
		return scenario{graph: "https://192.0.2.1", identity: ", proxy: \"" +
			silentProxy(t, strings.TrimPrefix(d.URL(), "https://")) + "\""}
	}
	t.Fatalf("there is no scenario for %+v", f)
	return scenario{}
}

// metadataAt starts the metadata service of the double, and says where it is, as App
// Service says where its own is.
func metadataAt(t *testing.T, d *harness.Double) (environment []string) {
	t.Helper()
	if err := d.StartMetadata(""); err != nil {
		t.Fatal(err)
	}
	return []string{"IDENTITY_ENDPOINT=" + d.MetadataURL(), "IDENTITY_HEADER=" + d.MetadataSecret()}
}

func metadataScenario(f graph.Fact) scenario {
	return scenario{credential: "managed_identity: true", fault: sandbox.Fault{Endpoint: "metadata",
		Status: statusOf(f.HTTP), Body: `{"error":"no","error_description":"not today"}`}}
}

// silentProxy passes connections to one address on. Whoever wants a way through
// it to another waits for its answer.
func silentProxy(t *testing.T, to string) (url string) {
	t.Helper()
	inner := sandbox.NewProxy("", "")
	if err := inner.Start(""); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.Close(), inner.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go relayOrWait(c, strings.TrimPrefix(inner.URL(), "http://"), "CONNECT "+to+" ")
		}
	}()
	return "http://" + l.Addr().String()
}

// relayOrWait passes a connection that begins so on to a proxy, and leaves any
// other without a word until it is closed.
func relayOrWait(c net.Conn, proxy, begin string) {
	defer c.Close()
	head := make([]byte, len(begin))
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	if string(head) != begin {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	p, err := net.Dial("tcp", proxy)
	if err != nil {
		return
	}
	defer p.Close()
	go func() { _, _ = io.Copy(c, p); _ = c.Close() }()
	_, _ = p.Write(head)
	_, _ = io.Copy(p, c)
}

// hideBodies makes the store of a running relay fail when it reads a message, as
// a broken disk does.
func (a *answered) hideBodies(t *testing.T) {
	t.Helper()
	inStore(t, filepath.Join(a.dir, "queue.db"),
		"ALTER TABLE chunk RENAME TO kept",
		"CREATE VIEW chunk AS SELECT id, json('{') AS crc, data FROM kept", // who reads it meets an error
		"CREATE TRIGGER keep INSTEAD OF INSERT ON chunk BEGIN INSERT INTO kept VALUES (NEW.id, NEW.crc, NEW.data); END",
	)
}

// showBodies undoes hideBodies, as a disk that was repaired does.
func showBodies(t *testing.T, store string) {
	t.Helper()
	inStore(t, store, "DROP TRIGGER keep", "DROP VIEW chunk", "ALTER TABLE kept RENAME TO chunk")
}

// inStore runs statements in the store of a running relay.
func inStore(t *testing.T, store string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", store+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// graphFault is an answer that a row describes, and no row before it.
func graphFault(f graph.Fact) sandbox.Fault {
	x := sandbox.Fault{Endpoint: "sendMail", Status: statusOf(f.HTTP), Code: exampleCode(f.Code),
		Message: strings.Split(f.Match, "|")[0], Headers: map[string]string{}}
	switch {
	case f.Outcome == outcome.Delivered:
		return sandbox.Fault{}
	case f.Page:
		x.Status, x.Body = 200, sandbox.BodyHTML
	case f.Code == "-":
		x.Code, x.Body = "", sandbox.BodyHTML
	case f.HTTP == "":
		x.Status = statusOfCode(f.Code)
	}
	if x.Status/100 == 3 {
		x.Headers["Location"] = "https://192.0.2.1/"
	}
	if f.Code == "" && x.Body == "" {
		x.Code = "SomethingNew"
	}
	if x.Status < 400 && x.Body == "" {
		x.Code, x.Message = "", ""
	}
	return x
}

func loginFault(f graph.Fact) sandbox.Fault {
	x := sandbox.Fault{Endpoint: "token", Status: statusOf(f.HTTP), Code: exampleCode(f.Code), AADSTS: 1}
	if number, ok := strings.CutPrefix(f.Code, "AADSTS"); ok { // with the error that Entra sends it with
		x.Code = "invalid_request"
		x.AADSTS, _ = strconv.Atoi(number)
	}
	if f.HTTP == "" {
		x.Status = 400
	}
	switch f.Code {
	case "":
		x.Code = "something_new"
	case "-":
		x.Code, x.AADSTS, x.Body = "", 0, sandbox.BodyHTML
	}
	return x
}

// statusOf is one status of a pattern, none that another row names.
func statusOf(pattern string) int {
	word, _, _ := strings.Cut(pattern, " ")
	switch word {
	case "2xx":
		return 203
	case "4xx":
		return 403
	case "3xx":
		return 302
	case "5xx":
		return 501
	case "":
		return 418
	}
	n, _ := strconv.Atoi(word)
	return n
}

// statusOfCode is the status with which a code was seen, where the row takes any.
func statusOfCode(code string) int {
	switch {
	case code == "":
		return 418
	case code == "ErrorQuotaExceeded":
		return 507
	case regexp.MustCompile("Throttled|Quota|Limit").MatchString(code):
		return 429
	case regexp.MustCompile("Unable|Base64").MatchString(code):
		return 400
	case regexp.MustCompile("Token|Audience|claims").MatchString(code):
		return 401
	case regexp.MustCompile("REST|NotFound|NonExistent|InvalidUser").MatchString(code):
		return 404
	case regexp.MustCompile("Busy").MatchString(code):
		return 503
	case regexp.MustCompile("Range").MatchString(code):
		return 416
	}
	return 403
}

func exampleCode(pattern string) string {
	word, _, _ := strings.Cut(pattern, " ")
	if inside, ok := strings.CutPrefix(word, "*"); ok {
		word = "Error" + inside
	}
	return strings.ReplaceAll(strings.TrimSuffix(word, "-"), "*", "Example")
}
