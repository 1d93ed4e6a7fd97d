//go:build system

package system

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
)

// mail keeps which messages were accepted and which have arrived, by subject.
type mail struct {
	mu       sync.Mutex
	begun    int
	accepted []string
	read     map[string]bool // the files of the double that have been read
	arrived  map[string]bool
}

// accept keeps that the relay has taken a message.
func (l *mail) accept(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, subject)
}

func (l *mail) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

func (l *mail) subject() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	return fmt.Sprintf("message %d", l.begun)
}

// missing is what of the accepted messages has not arrived in a folder.
func (l *mail) missing(t *testing.T, dir string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read == nil {
		l.read, l.arrived = make(map[string]bool), make(map[string]bool)
	}
	list, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	for _, path := range list {
		if l.read[path] {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fields, _ := harness.Split(string(b))
		if subject := strings.TrimSpace(harness.Field(fields, "Subject")); subject != "" {
			l.read[path], l.arrived[subject] = true, true
		}
	}
	var missing []string
	for _, subject := range l.accepted {
		if !l.arrived[subject] {
			missing = append(missing, subject)
		}
	}
	return missing
}

// arrived waits until the double has every message that was accepted.
func (m *machine) arrived() {
	m.t.Helper()
	var missing []string
	if !harness.Holds(patience, func() bool {
		missing = m.missing(m.t, filepath.Join(m.root, "/srv/sandbox/messages"))
		return len(missing) == 0
	}) {
		status, _ := m.try("graphrelay", "status")
		m.t.Fatalf("of %d accepted messages %d have not arrived: %q\n%s", m.count(), len(missing), missing, status)
	}
}

// send sends one message.
func (m *machine) send() {
	m.t.Helper()
	nc, err := m.dial()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.submit(nc); err != nil {
		m.t.Fatal(err)
	}
}

// submit sends one message over a connection, and closes it.
func (m *machine) submit(nc io.ReadWriteCloser) error {
	defer nc.Close()
	subject := m.subject()
	r := bufio.NewReader(nc)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"HELO c", "250"}, {"MAIL FROM:<notifications@contoso.com>", "250"}, {"RCPT TO:<you@example.org>", "250"}, {"DATA", "354"},
		{"From: notifications@contoso.com\r\nTo: you@example.org\r\nSubject: " + subject + "\r\n\r\nx\r\n.", "250"},
	} {
		if step.say != "" {
			if _, err := fmt.Fprintf(nc, "%s\r\n", step.say); err != nil {
				return broken{err}
			}
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return broken{err}
		}
		if strings.HasPrefix(line, "421") {
			return broken{fmt.Errorf("%s", line)}
		}
		if !strings.HasPrefix(line, step.want) {
			return fmt.Errorf("after %.20q: %s", step.say, line)
		}
	}
	m.accept(subject)
	_, _ = io.WriteString(nc, "QUIT\r\n")
	return nil
}

// broken is a dialog that the relay ended before it took the message: the client
// of a relay that stops sends again. Its 421 may be lost to a reset.
type broken struct{ error }

// underLoad sends from four clients while do runs, and after it. Every connection
// must be taken, and every dialog on it end with 250, or with 421.
func (m *machine) underLoad(t *testing.T, do func()) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond): // which spares the machine
				}
				nc, err := m.dial()
				if err != nil {
					t.Errorf("a connection was not taken: %v", err)
					return
				}
				if err := m.submit(nc); err != nil {
					if _, ok := err.(broken); !ok {
						t.Error(err)
					}
				}
			}
		})
	}
	defer clients.Wait()
	defer close(stop)
	more := func(what string) {
		begin := m.count()
		harness.Until(t, patience, what, func() bool { return m.count() >= begin+8 })
	}
	more("mail before")
	do()
	more("mail after")
}
