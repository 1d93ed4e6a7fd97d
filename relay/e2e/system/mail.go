//go:build system

package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// mail keeps which messages were accepted and which have arrived, by subject.
type mail struct {
	load
	read    map[string]bool // the files of the double that have been read
	arrived map[string]bool
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

// underLoad runs do under load.
func (m *machine) underLoad(t *testing.T, do func()) {
	for _, fault := range m.during(do) {
		t.Error(fault)
	}
}
