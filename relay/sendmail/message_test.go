package sendmail

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadEndsAtALoneDot(t *testing.T) {
	long := strings.Repeat("x", 32<<10) // as long as the buffer: the next octets do not begin a line
	for _, c := range []struct {
		in, want string
		keep     bool
	}{
		{"a\n.\nb\n", "a\n", false},
		{"a\r\n.\r\nb\n", "a\r\n", false},
		{"a\n.", "a\n", false},
		{".\n", "", false},
		{"a\n..\n. \n.b\n", "a\n..\n. \n.b\n", false},
		{long + ".\n", long + ".\n", false},
		{"a\n.\nb\n", "a\n.\nb\n", true},
	} {
		m, err := Read(iotest.OneByteReader(strings.NewReader(c.in)), c.keep, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(m.from(0)); string(got) != c.want {
			t.Errorf("%.20q becomes %.20q, want %.20q", c.in, got, c.want)
		}
		m.Close()
	}
}

// A large message lies in a file that has no name, whatever its lines are.
func TestReadLarge(t *testing.T) {
	for name, text := range map[string]string{
		"lines":          strings.Repeat("0123456789abcde\n", 3*inMemory/16),
		"one line":       strings.Repeat("x", 3*inMemory),
		"just too large": strings.Repeat("x", inMemory+1),
	} {
		dir := t.TempDir()
		m, err := Read(strings.NewReader(text), false, dir)
		if err != nil {
			t.Fatal(err)
		}
		if m.file == nil || len(m.text) > 0 {
			t.Errorf("%s: kept in memory", name)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %v has a name", name, left)
		}
		for range 2 { // it is read for its size, for the relay, for dead.letter
			if got, err := io.ReadAll(m.from(7)); err != nil || string(got) != text[7:] {
				t.Errorf("%s: %d octets come back, %v", name, len(got), err)
			}
		}
		m.Close()
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	p[len(p)-1] = '\n'
	return len(p), nil
}

func TestReadFails(t *testing.T) {
	if _, err := Read(endless{}, false, t.TempDir()); ExitCode(err) != ExitUnavailable {
		t.Errorf("an endless message: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("To: a@b\n"), iotest.ErrReader(errors.New("broken")))
	if _, err := Read(broken, false, t.TempDir()); ExitCode(err) != ExitTemporary {
		t.Errorf("half a message: %v", err)
	}
	_, err := Read(strings.NewReader(strings.Repeat("x", 2*inMemory)), false, "/nonexistent")
	if ExitCode(err) != ExitTemporary || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("no room: %v", err)
	}
}
