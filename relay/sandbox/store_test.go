package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/sandbox"
)

func numbered(n int) string {
	return header("From: relay@contoso.com", "To: a@example.com",
		"Bcc: b@example.com", fmt.Sprintf("Message-ID: <%d@x>", n), "Subject: "+strings.Repeat("s", 100))
}

// sendAll sends messages numbered from 1.
func sendAll(t testing.TB, c *client, n int) {
	t.Helper()
	for i := range n {
		if g := c.send(mailbox, numbered(i+1)); g.status != 202 {
			t.Fatalf("%d %s", g.status, g.body)
		}
	}
}

func TestRawAndDelivered(t *testing.T) {
	d := start(t, sandbox.Options{})
	sendAll(t, signIn(t, d), 1)
	raw, err := d.Raw(1)
	if err != nil || string(raw) != numbered(1) {
		t.Errorf("%q %v", raw, err)
	}
	if delivered, err := d.Delivered(1); err != nil ||
		string(delivered) != strings.Replace(numbered(1), "Bcc: b@example.com\r\n", "", 1) {
		t.Errorf("%q %v", delivered, err)
	}
	if m, ok := d.Message(1); !ok || len(m.Recipients) != 2 || len(m.Bcc) != 1 || m.Size != int64(len(raw)) ||
		len(m.SHA256) != 64 {
		t.Errorf("%+v", m)
	}
	if _, err := d.Raw(2); err == nil {
		t.Error("a message that never came")
	}
}

// Records and bodies are bounded; counts and the ledger go on.
func TestBounds(t *testing.T) {
	for _, row := range []struct {
		name           string
		o              sandbox.Options
		kept, readable int
	}{
		{"records", sandbox.Options{Keep: 3}, 3, 3},
		{"bodies", sandbox.Options{KeepBytes: 2*int64(len(numbered(1))) + 10}, 8, 2},
		{"counts only", sandbox.Options{Keep: -1}, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var seen int
			row.o.OnMessage = func(sandbox.Message) { seen++ }
			d := start(t, row.o)
			sendAll(t, signIn(t, d), 8)
			list, readable := d.Messages(), 0
			for _, m := range list {
				if _, err := d.Raw(m.ID); err == nil {
					readable++
				}
			}
			if len(list) != row.kept || readable != row.readable || d.Count() != 8 || seen != 8 {
				t.Errorf("%d kept, %d readable, %d counted, %d seen", len(list), readable, d.Count(), seen)
			}
			if len(list) > 0 && list[len(list)-1].MessageID != "<8@x>" {
				t.Errorf("the newest is %s", list[len(list)-1].MessageID)
			}
			if ledger := d.Ledger(); len(ledger) != 8 || ledger["<3@x>"] != 1 {
				t.Errorf("%v", ledger)
			}
		})
	}
}

func TestDuplicatesAndReset(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	sendAll(t, c, 2)
	sendAll(t, c, 1)
	if s := d.Stats(); s.Messages != 3 || s.Duplicates != 1 || d.Ledger()["<1@x>"] != 2 ||
		s.Answers["sendMail"][202] != 3 {
		t.Errorf("%+v", s)
	}
	d.Reset()
	if s := d.Stats(); s.Messages != 0 || len(d.Messages()) != 0 || len(d.Ledger()) != 0 || len(s.Answers) != 0 ||
		s.MaxConcurrent != 0 {
		t.Errorf("%+v", s)
	}
	sendAll(t, c, 1)
	if m := d.Messages(); len(m) != 1 || m[0].ID != 4 {
		t.Errorf("%+v", m)
	}
}

func TestWait(t *testing.T) {
	d := start(t, sandbox.Options{})
	c := signIn(t, d)
	arrived := make(chan error)
	go func() { arrived <- d.Wait(context.Background(), 2) }()
	sendAll(t, c, 2)
	if err := <-arrived; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := d.Wait(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "received")
	d := start(t, sandbox.Options{Dir: dir})
	sendAll(t, signIn(t, d), 1)
	m := d.Messages()[0]
	stored, err := os.ReadFile(m.File)
	if err != nil || string(stored) != numbered(1) || filepath.Ext(m.File) != ".eml" || filepath.Dir(m.File) != dir {
		t.Errorf("%s %v", m.File, err)
	}
	record, err := os.ReadFile(strings.TrimSuffix(m.File, ".eml") + ".json")
	var read sandbox.Message
	if err != nil || json.Unmarshal(record, &read) != nil || len(read.Recipients) != 2 ||
		read.Bcc[0] != "b@example.com" {
		t.Errorf("%s %v", record, err)
	}
	if raw, err := d.Raw(1); err != nil || string(raw) != numbered(1) {
		t.Errorf("%q %v", raw, err)
	}
	if info, _ := os.Stat(m.File); info.Mode().Perm() != 0o600 {
		t.Errorf("%v", info.Mode())
	}
}

// What could not be stored is not acknowledged.
func TestDirFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "received")
	d := start(t, sandbox.Options{Dir: dir})
	c := signIn(t, d)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if g := c.send(mailbox, simple); g.status != 500 || g.code() != "ErrorInternalServerError" || d.Count() != 0 {
		t.Errorf("%d %s, %d recorded", g.status, g.body, d.Count())
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.New(sandbox.Options{Dir: file}); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestWriteFiles(t *testing.T) {
	d, err := sandbox.New(sandbox.Options{Mailboxes: []string{"b@contoso.com", "a@contoso.com", "ceo@contoso.com"},
		Allowed: []string{"b@contoso.com", "a@contoso.com"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := d.WriteFiles(dir); err == nil {
		t.Error("written before the address is known")
	}
	if err := d.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	f, err := d.WriteFiles(dir)
	if err == nil {
		f, err = d.WriteFiles(dir) // again, over the old ones
	}
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := os.ReadFile(f.Secret)
	if info, err := os.Stat(f.Secret); err != nil || info.Mode().Perm() != 0o600 || string(secret) != d.Secret()+"\n" {
		t.Errorf("%v %v", info, err)
	}
	if ca, _ := os.ReadFile(f.CA); string(ca) != string(d.CAPEM()) {
		t.Errorf("%s", ca)
	}
	config, _ := os.ReadFile(f.Config)
	for _, want := range []string{d.TenantID(), d.ClientID(), `client_secret_file: "` + f.Secret + `"`, `ca_file: "` +
		f.CA + `"`, `login: "` + d.URL() + `"`, `graph: "` + d.URL() +
		`"`, "    denied_mailbox: \"ceo@contoso.com\"\n", "  - address: \"a@contoso.com\"\n  - address: " +
		"\"b@contoso.com\"\nsmtp:"} {
		if !strings.Contains(string(config), want) {
			t.Errorf("no %q in\n%s", want, config)
		}
	}
	// every address exists
	if got := deniedIn(t, sandbox.Options{Allowed: []string{"a@contoso.com"}}); got != "denied@contoso.com" {
		t.Errorf("denied_mailbox = %q where one mailbox is allowed", got)
	}
	if got := deniedIn(t, sandbox.Options{Mailboxes: []string{"a@contoso.com"}}) + deniedIn(t,
		sandbox.Options{}); got != "" {
		t.Errorf("denied_mailbox = %q where none is refused", got)
	}
	if strings.Contains(string(config), d.Secret()) {
		t.Error("the secret is in the configuration")
	}
}

// deniedIn is the denied_mailbox that a double of o writes.
func deniedIn(t *testing.T, o sandbox.Options) string {
	t.Helper()
	f, err := start(t, o).WriteFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "denied_mailbox: \"")
	denied, _, _ := strings.Cut(after, "\"")
	return denied
}
