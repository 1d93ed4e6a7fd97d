package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/e2e/harness"
)

// echoing stands for Entra, Graph, a proxy and a webhook that answer at one step
// with everything that they have been sent, in every field and spelling.
type echoing struct {
	*httptest.Server
	proxy, hook *httptest.Server

	mu      sync.Mutex
	step    string            // that echoes
	echoes  map[string]int    // how often each did
	secrets map[string]string // what was seen or given, and what it is
	held    map[string]bool   // of them: the service has sent it, so it holds it
	asked   bool              // commands are running: what is new now may be theirs alone
	heard   strings.Builder   // by the webhook, and by mailboxes
}

const echoPassword = "hunter2/of+the proxy"

func newEchoing(t *testing.T) *echoing {
	t.Helper()
	e := &echoing{echoes: map[string]int{}, secrets: map[string]string{}, held: map[string]bool{}}
	e.note("password of the proxy", echoPassword)
	e.Server = httptest.NewTLSServer(http.HandlerFunc(e.serve))
	e.proxy = httptest.NewServer(http.HandlerFunc(e.connect))
	e.hook = httptest.NewServer(http.HandlerFunc(e.notice))
	t.Cleanup(func() { e.Close(); e.proxy.CloseClientConnections(); e.proxy.Close(); e.hook.Close() })
	return e
}

// set makes one step echo.
func (e *echoing) set(step string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.step = step
}

// ask says that from now on commands get tokens too.
func (e *echoing) ask() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = true
}

func (e *echoing) echoed(step string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.echoes[step]
}

// at reports whether a step is to echo, and counts it.
func (e *echoing) at(step string) bool {
	if e.step != step {
		return false
	}
	e.echoes[step]++
	return true
}

// note keeps a secret that was sent.
func (e *echoing) note(what, secret string) {
	if secret != "" {
		e.secrets[secret] = what
		e.held[secret] = e.held[secret] || !e.asked
	}
}

// give keeps a secret that is about to be given.
func (e *echoing) give(what, secret string) string {
	e.secrets[secret] = what
	return secret
}

// returned notes each secret given before that a request brings back.
func (e *echoing) returned(r *http.Request) {
	head := r.URL.String() + " " + r.Header.Get("Authorization")
	for secret, what := range e.secrets {
		if strings.Contains(head, secret) {
			e.note(what, secret)
		}
	}
}

func (e *echoing) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.returned(r)
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	path := r.URL.Path
	switch {
	case strings.HasSuffix(path, "/openid-configuration"):
		at := e.URL + "/x/oauth2/v2.0/"
		answer(200, map[string]string{"issuer": e.URL + "/x/v2.0", "authorization_endpoint": at + "authorize",
			"token_endpoint": at + "token"})
	case strings.HasSuffix(path, "/token"):
		form, _ := url.ParseQuery(string(body))
		e.note("client secret", form.Get("client_secret"))
		e.note("assertion", form.Get("client_assertion"))
		if e.at("token") {
			e.echo(w, r, body, 401)
			return
		}
		answer(200, map[string]any{"token_type": "Bearer", "expires_in": 3600,
			"access_token": e.give("token", "opaque/"+rand.Text()+"+"+rand.Text()+"~"+rand.Text())})
	case strings.HasSuffix(path, "/sendMail"):
		status := map[string]int{"token": 401, "sendMail 400": 400, "sendMail 403": 403, "sendMail 503": 503,
			"sendMail 302": 302, "sendMail 500": 500}[e.step]
		if status != 0 {
			if e.step != "token" {
				e.at(e.step)
			}
			e.echo(w, r, body, status)
			return
		}
		raw, _ := base64.StdEncoding.DecodeString(string(body))
		e.heard.Write(raw)
		w.WriteHeader(202)
	case strings.HasSuffix(path, "/messages") && r.Method == http.MethodPost:
		if e.at("draft") {
			e.echo(w, r, body, 403)
			return
		}
		answer(201, map[string]string{"id": "draft"})
	case strings.HasSuffix(path, "/createUploadSession"):
		if e.at("session") {
			e.echo(w, r, body, 400)
			return
		}
		to := e.URL + "/upload/" + e.give("upload URL", rand.Text()+rand.Text()) + "?authtoken=" +
			e.give("upload token", rand.Text()+"."+rand.Text())
		end := time.Now().Add(time.Hour).Format(time.RFC3339)
		answer(201, map[string]string{"uploadUrl": to, "expirationDateTime": end})
	default:
		e.at("upload")
		e.echo(w, r, nil, 403)
	}
}

// echo answers with the request and all secrets that the service has sent so far. A
// secret that is still on its way to it, or that a command alone holds, it cannot know.
func (e *echoing) echo(w http.ResponseWriter, r *http.Request, body []byte, status int) {
	var all strings.Builder
	fmt.Fprintf(&all, "%s %s %v %.2000s ", r.Method, r.URL, r.Header, body)
	word := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for secret := range e.secrets {
		if !e.held[secret] {
			continue
		}
		coded := base64.StdEncoding.EncodeToString([]byte(secret))
		fmt.Fprintf(&all, "%s|%s|%q|%s ", secret, url.QueryEscape(secret), secret, coded)
		word += "," + secret
	}
	if len(word) > 3000 { // of a header field
		word = word[:3000]
	}
	for _, field := range []string{"Request-Id", "Client-Request-Id", "X-Ms-Request-Id", "Location"} {
		w.Header().Set(field, word)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	inner := map[string]any{"code": word}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error":             map[string]any{"code": word, "message": all.String(), "innerError": inner},
		"error_description": all.String(), "correlation_id": word,
	})
}

// connect is the proxy.
func (e *echoing) connect(w http.ResponseWriter, r *http.Request) {
	in, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	auth := r.Header.Get("Proxy-Authorization")
	e.mu.Lock()
	e.note("form of the password", strings.TrimPrefix(auth, "Basic "))
	refuse := e.at("proxy")
	e.mu.Unlock()
	if refuse {
		fmt.Fprintf(in, "HTTP/1.1 407 %s %s\r\nProxy-Authenticate: %[1]s\r\nContent-Length: 0\r\n\r\n", auth,
			echoPassword)
		in.Close()
		return
	}
	out, err := net.Dial("tcp", r.Host)
	if err != nil {
		in.Close()
		return
	}
	fmt.Fprint(in, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(out, in); out.Close() }()
	_, _ = io.Copy(in, out)
	in.Close()
}

// notice is the webhook. Its answer is broken and has the URL.
func (e *echoing) notice(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.note("URL of the webhook", r.URL.Query().Get("sig"))
	e.heard.Write(b)
	e.heard.WriteByte('\n')
	if e.echoes["webhook"]++; e.echoes["webhook"]%2 == 0 {
		return
	}
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		fmt.Fprintf(c, "HTTP/1.1 %s %s\r\n\r\n", r.URL, r.URL)
		c.Close()
	}
}

// relay is a relay at e whose every output can be read.
func (e *echoing) relay(t *testing.T, certificate bool) (r *harness.Relay, console string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2 and more"), 10)
	if err != nil {
		t.Fatal(err)
	}
	d, at := harness.NewDouble(t), harness.FreeAddr(t)
	r = harness.NewRelay(t, d, harness.Watched(), harness.With("log", "level: debug"),
		harness.With("identity", "proxy_file: proxy.url"), harness.With("delivery", "large_messages: upload"),
		harness.With("top", "alerts: {webhook_url_file: hook.url}", "reports: {postmaster: admin@contoso.com}",
			fmt.Sprintf("console: {address: %s, password_hash: %q}", at, hash)))
	text := strings.ReplaceAll(readFile(t, r.Config), d.URL(), e.URL)
	if certificate {
		cmd := exec.Command(harness.Binary(t), "cert", "new", "--out", r.Dir, "--bits", "2048")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text = strings.Replace(text, "client_secret_file: "+filepath.Join(r.Dir, "secret.txt"),
			"certificate_file: "+filepath.Join(r.Dir, "entra.pem"), 1)
	}
	harness.WriteFile(t, r.Config, text)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})
	harness.WriteFile(t, filepath.Join(r.Dir, "ca.pem"), string(ca))
	proxy, _ := url.Parse(e.proxy.URL)
	proxy.User = url.UserPassword("relay", echoPassword)
	harness.WriteFile(t, filepath.Join(r.Dir, "proxy.url"), proxy.String()+"\n")
	secret := rand.Text() + rand.Text()
	harness.WriteFile(t, filepath.Join(r.Dir, "hook.url"), e.hook.URL+"/services/"+secret+"?sig="+secret+"\n")
	r.Start()
	return r, "http://" + at
}

// Whatever a service, a proxy or a webhook echoes at any step, in any field and
// spelling: no secret comes into any output or the store.
func TestNoEchoOfASecretIsShown(t *testing.T) {
	for name, certificate := range map[string]bool{"secret": false, "certificate": true} {
		t.Run(name, func(t *testing.T) {
			e := newEchoing(t)
			r, console := e.relay(t, certificate)
			large := "From: " + harness.Sender + "\r\nTo: a@example.org\r\nSubject: large\r\n" +
				"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
				strings.Repeat(strings.Repeat("QUJD", 18)+"\r\n", 70_000)
			var texts []string
			for _, step := range []string{"sendMail 503", "sendMail 403", "sendMail 302", "sendMail 500", "token",
				"proxy", "draft", "session", "upload", "sendMail 400"} {
				e.set(step)
				c := harness.Hello(t, r.Addr)
				text := "From: " + harness.Sender + "\r\nTo: a@example.org\r\nSubject: " + step + "\r\n\r\nx\r\n"
				if step == "draft" || step == "session" || step == "upload" {
					text = large
				}
				c.Want(c.Send(harness.Sender, []string{"a@example.org"}, text), 250)
				c.Close()
				if step == "proxy" {
					e.CloseClientConnections() // so that the proxy is asked again
				}
				if !harness.Holds(time.Minute, func() bool {
					_, _ = r.Run("queue", "release", "--all")
					_, _ = r.Run("queue", "retry", "--all")
					return e.echoed(step) > 0
				}) {
					t.Fatalf("%s was not asked\n%s", step, r.Tail())
				}
				texts = append(texts, "status after "+step, outOf(r, "status"))
			}
			e.ask()
			texts = append(texts, everything(t, r, console)...)
			e.set("")
			_ = r.Stop(time.Minute)
			texts = append(texts, "the log", r.Output(), "the webhook and mailboxes", e.heard.String())
			files, _ := filepath.Glob(r.Store + "*")
			for _, file := range files {
				texts = append(texts, file, readFile(t, file))
			}
			e.compare(t, texts)
			if certificate != (e.seen("assertion")) || !e.seen("upload token") || e.echoes["webhook"] == 0 {
				t.Errorf("not all secrets were in use: %v", e.secrets)
			}
		})
	}
}

func (e *echoing) seen(what string) bool {
	for _, w := range e.secrets {
		if w == what {
			return true
		}
	}
	return false
}

// everything is what the running service and its commands show, each after its name.
func everything(t *testing.T, r *harness.Relay, console string) (texts []string) {
	t.Helper()
	for _, command := range []string{"status", "status --json", "queue list", "queue list --json", "trace",
		"trace --json", "doctor", "verify", "check", "check --show"} {
		texts = append(texts, command, outOf(r, strings.Fields(command)...))
	}
	get := func(c *http.Client, at string) {
		res, err := c.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var b bytes.Buffer
		_ = res.Header.Write(&b)
		_, _ = io.Copy(&b, res.Body)
		texts = append(texts, at, b.String())
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		get(http.DefaultClient, "http://"+r.Watch+path)
	}
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	res, err := browser.PostForm(console+"/login", url.Values{"password": {"hunter2 and more"}})
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
	pages := []string{"/", "/messages", "/clients", "/refusals", "/setup"}
	for _, m := range r.Queue() {
		texts = append(texts, "queue show", outOf(r, "queue", "show", m.QueueID), outOf(r, "trace", m.QueueID))
		pages = append(pages, "/messages/"+m.QueueID)
	}
	for _, page := range pages {
		get(browser, console+page)
	}
	return texts
}

func outOf(r *harness.Relay, args ...string) string {
	out, _ := r.Run(args...)
	return out
}

// compare fails where a text has as much of a secret as would help anybody, in a
// spelling in which it may have come back.
func (e *echoing) compare(t *testing.T, texts []string) {
	t.Helper()
	const piece = 20
	pieces := map[string]string{}
	for secret, what := range e.secrets {
		quoted := strconv.Quote(secret)
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1]}
		for before := range 3 {
			coded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
			forms = append(forms, coded[(before*8+5)/6:(before+len(secret))*8/6])
		}
		for _, form := range forms {
			for i := 0; i+piece <= len(form); i++ {
				pieces[form[i:i+piece]] = what
			}
		}
	}
	redacted := 0
	for n := 1; n < len(texts); n++ {
		text := texts[n]
		redacted += strings.Count(text, "[secret]")
		for i := 0; i+piece <= len(text); i++ {
			if what, ok := pieces[text[i:i+piece]]; ok {
				t.Errorf("%.60s: the %s is shown: %.200q", texts[n-1], what, text[max(0, i-100):])
				break
			}
		}
	}
	if redacted == 0 {
		t.Error("nothing was echoed")
	}
}
