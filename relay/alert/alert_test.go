package alert

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// hook is a webhook that may be down.
type hook struct {
	mu     sync.Mutex
	down   error
	heard  []string
	posts  int
	before func(Notice) error // asked first, where set
}

func (h *hook) post(_ context.Context, n Notice) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.before != nil {
		if err := h.before(n); err != nil {
			return err
		}
	}
	h.posts++
	if h.down != nil {
		return h.down
	}
	text := n.Key + " " + n.Status
	if n.Repeated {
		text += " again"
	}
	h.heard = append(h.heard, text)
	return nil
}

// running runs f beside a Board in a bubble of fake time.
func running(t *testing.T, f func(b *Board, h *hook)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hook{}
		b := filled(Config{Host: func() string { return "relay" }, URLFile: "-"})
		b.post = h.post
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.Run(ctx); close(done) }()
		f(b, h)
		cancel()
		<-done
	})
}

// set changes the hook.
func (h *hook) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hook) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if strings.Join(h.heard, "\n") != strings.Join(want, "\n") {
		t.Errorf("the webhook heard %q, want %q", h.heard, want)
	}
	h.heard = nil
}

func TestAFaultIsToldOnceRepeatedSeldomAndResolved(t *testing.T) {
	running(t, func(b *Board, h *hook) {
		for range 50 {
			b.Alarm("disk", "the disk is full; free space", true)
			time.Sleep(15 * time.Second)
		}
		h.expect(t, "disk firing")
		time.Sleep(24 * time.Hour)
		h.expect(t, "disk firing again")
		b.Alarm("disk", "", false)
		b.Alarm("disk", "", false)
		h.expect(t, "disk resolved")
		b.Alarm("disk", "the disk is full; free space", true)
		h.expect(t, "disk firing")
	})
}

// Each stage is told once, and between them there is silence; what is no stage
// any longer is repeated like other faults.
func TestStagesAreToldOnceEach(t *testing.T) {
	running(t, func(b *Board, h *hook) {
		for _, stage := range []string{"30 days", "14 days"} {
			for range 100 {
				b.set("credential:x", staged("it ends; renew it", stage), true)
				time.Sleep(time.Hour)
			}
			h.expect(t, map[string]string{"30 days": "credential:x firing",
				"14 days": "credential:x firing again"}[stage])
		}
		b.Alarm("credential:x", "it has ended; renew it", true)
		h.expect(t, "credential:x firing again")
		time.Sleep(24 * time.Hour)
		h.expect(t, "credential:x firing again")
		b.Alarm("credential:x", "", false)
		h.expect(t, "credential:x resolved")
	})
}

// A stage that comes while the one before is being told is told, too.
func TestAStageDuringThePost(t *testing.T) {
	running(t, func(b *Board, h *hook) {
		h.set(func() {
			h.before = func(n Notice) error {
				if !n.Repeated {
					b.set("credential:x", staged("it ends soon; renew it", "14 days"), true)
				}
				return nil
			}
		})
		b.set("credential:x", staged("it ends; renew it", "30 days"), true)
		h.expect(t, "credential:x firing", "credential:x firing again")
	})
}

func TestAWebhookThatWasDownHearsTheNewestState(t *testing.T) {
	running(t, func(b *Board, h *hook) {
		b.Alarm("stays", "x", true)
		h.expect(t, "stays firing")
		h.set(func() { h.down = errors.New("connection refused") })
		b.Alarm("blip", "x", true)
		b.Alarm("new", "x", true)
		time.Sleep(time.Hour)
		synctest.Wait()
		h.set(func() {
			if h.posts > 20 {
				t.Errorf("%d posts in an hour of silence", h.posts)
			}
		})
		b.Alarm("blip", "", false) // never told: nothing to resolve
		b.Alarm("stays", "", false)
		b.Alarm("stays", "x", true)
		b.Alarm("stays", "", false)
		h.set(func() { h.down = nil })
		time.Sleep(longestPause)
		synctest.Wait()
		var got string
		h.set(func() { got = strings.Join(h.heard, ",") })
		if got != "new firing,stays resolved" && got != "stays resolved,new firing" {
			t.Errorf("the webhook heard %q", got)
		}
	})
}

// A post that the webhook refuses for what it says does not stop the others.
func TestARefusedPostStandsBack(t *testing.T) {
	running(t, func(b *Board, h *hook) {
		h.set(func() {
			h.before = func(n Notice) error {
				if n.Key == "odd" {
					return errors.New("it answered 400")
				}
				return nil
			}
		})
		b.Alarm("odd", "x", true)
		synctest.Wait()
		b.Alarm("other", "x", true)
		time.Sleep(time.Minute)
		h.expect(t, "other firing")
	})
}

// A fault that ends while it is being told is resolved too.
func TestAnEndDuringThePost(t *testing.T) {
	running(t, func(b *Board, h *hook) {
		h.set(func() {
			h.before = func(n Notice) error {
				if n.Status == "firing" {
					b.Alarm(n.Key, "", false)
				}
				return nil
			}
		})
		b.Alarm("short", "x", true)
		h.expect(t, "short firing", "short resolved")
	})
}

func TestFaultsAreBounded(t *testing.T) {
	b := filled(Config{})
	for i := range 2 * maxKeys {
		b.Alarm(fmt.Sprint("k", i), "x", true)
	}
	if n := len(b.Firing()); n != maxKeys {
		t.Errorf("%d faults", n)
	}
	b.Alarm("k0", "", false)
	if list := b.Firing(); len(list) != maxKeys-1 || len(b.faults) != maxKeys-1 {
		t.Errorf("%d firing, %d kept", len(list), len(b.faults))
	}
}

// urlFile writes a file with a URL and returns its path.
func urlFile(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.url")
	if err := os.WriteFile(path, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestThePost(t *testing.T) {
	var got map[string]any
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" ||
			json.NewDecoder(r.Body).Decode(&got) != nil {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	since := time.Unix(1_800_000_000, 0).UTC()
	b := filled(Config{Host: func() string { return "relay.example.org" }, URLFile: urlFile(t, srv.URL+"/hook")})
	b.Alarm("hold:mailbox:a@b", "held; do this", true)
	b.faults["hold:mailbox:a@b"].Since = since
	n, ok, _ := b.next(since)
	if err := b.post(t.Context(), n); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if got["status"] != "firing" || got["key"] != "hold:mailbox:a@b" || got["host"] != "relay.example.org" ||
		got["text"] != "Held; do this; graphrelay on relay.example.org" || got["headline"] != "Held" ||
		got["remedy"] != "do this" || got["since"] != "2027-01-15T08:00:00Z" {
		t.Errorf("posted %v", got)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secret-path" {
			t.Errorf("the redirect was followed to %s", r.URL.Path)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	if err := newWebhook(urlFile(t, srv.URL+"/secret-path"), nil).post(t.Context(), Notice{}); err == nil ||
		!strings.Contains(err.Error(), "redirect") {
		t.Errorf("err = %v", err)
	}
}

// The URL is a secret: neither an error nor the log shows it.
func TestTheURLIsNeverShown(t *testing.T) {
	broken := func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.String(), 500) }
	srv := httptest.NewServer(http.HandlerFunc(broken))
	up := srv.URL
	closed := httptest.NewServer(nil)
	closed.Close()
	defer srv.Close()
	for _, url := range []string{up + "/hunter2", closed.URL + "/hunter2", "http://hooks.example.org/hunter2",
		"https://hooks.example.org:x/hunter2", "hunter2", "https://a b/hunter2"} {
		var log bytes.Buffer
		b := filled(Config{URLFile: urlFile(t, url), Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		b.cfg.OnPost = func(err error) {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: err = %v", url, err)
			}
			cancel()
		}
		b.Alarm("disk", "full", true)
		b.Run(ctx)
		if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "webhook request failed") {
			t.Errorf("log = %s", log.String())
		}
	}
}

func TestCheckURLFile(t *testing.T) {
	for url, good := range map[string]bool{
		"https://hooks.example.org/x": true, "http://127.0.0.1:9/x": true, "http://[::1]:9/x": true,
		"http://localhost/x":         true,
		"http://hooks.example.org/x": false, "ftp://127.0.0.1/x": false, "": false, "https://": false,
		"https://a.example/x\nhttps://b.example/y": false, "https://a.example/" + strings.Repeat("x", maxURL): false,
		"http://localhost.example.org/": false,
	} {
		if err := CheckURLFile(urlFile(t, url)); (err == nil) != good {
			t.Errorf("%.60q: %v", url, err)
		}
	}
	if err := CheckURLFile(filepath.Join(t.TempDir(), "none")); err == nil ||
		!strings.Contains(err.Error(), "correct the path") {
		t.Errorf("err = %v", err)
	}
	path := urlFile(t, "https://a.example/x\nhttps://b.example/y")
	if err := CheckURLFile(path); err == nil ||
		!strings.Contains(err.Error(), "write one https URL into it, alone on one line") {
		t.Errorf("err = %v", err)
	}
	if err := os.WriteFile(path, []byte("https://a.example/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckURLFile(path); err != nil {
		t.Errorf("with one URL, alone on one line: %v", err)
	}
}

// staged is a fault that is as near as a stage says.
func staged(cause, stage string) state.Fault {
	f := state.FaultOf(cause)
	f.Stage = stage
	return f
}

// filled makes a Board of a Config that may lack what a test does not look at.
func filled(c Config) *Board {
	if c.Host == nil {
		c.Host = func() string { return "" }
	}
	if c.OnPost == nil {
		c.OnPost = func(error) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return New(c)
}

// A server that echoes the URL in a broken answer does not bring it into the log,
// and a fault whose words hold a secret is shown without it.
func TestSecretsAreNotShown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			req, _ := http.ReadRequest(bufio.NewReader(c))
			fmt.Fprintf(c, "HTTP/1.1 %s %s\r\n\r\n", url.QueryEscape(req.URL.RequestURI()), req.URL.RequestURI())
			c.Close()
		}
	}()
	const secret = "T0pSecretOfTheWebhook"
	secrets := text.NewRedactor()
	file := urlFile(t, "http://"+l.Addr().String()+"/services/"+secret+"?sig="+secret+"2")
	hook := newWebhook(file, secrets)
	err = hook.post(t.Context(), Notice{})
	if err == nil || strings.Contains(err.Error(), "Secret") || !strings.Contains(err.Error(), "[secret]") {
		t.Errorf("err = %v", err)
	}
	if secrets.Clean(secret) == secret {
		t.Error("the URL is not known while it is in use")
	}
	if err := os.WriteFile(file, []byte("http://"+l.Addr().String()+"/another-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = hook.post(t.Context(), Notice{})
	if secrets.Clean(secret) != secret {
		t.Error("the URL stays known when another is in use")
	}
	var log strings.Builder
	b := filled(Config{Secrets: secrets, Log: slog.New(slog.NewTextHandler(&log, nil))})
	secrets.Add(secret)
	f := state.Fault{Headline: "held: " + secret, Remedy: secret, Meanwhile: secret, Detail: secret}
	b.set("hold:identity:x", f, true)
	n, _, _ := b.next(time.Now())
	if text := fmt.Sprintf("%+v %+v", n, b.Firing()) + log.String(); strings.Contains(text, secret) {
		t.Errorf("shown: %s", text)
	}
}
