package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// The tests of crashes and of a disk that fails run the store in a process of
// its own: the test binary again, with these variables set.
const (
	childMode  = "SPOOL_TEST_CHILD"
	childPath  = "SPOOL_TEST_PATH"
	childLimit = "SPOOL_TEST_LIMIT"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := runChild(mode, os.Getenv(childPath)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runChild(mode, path string) error {
	if mode == "move" || mode == "abort" {
		return childMove(mode, path)
	}
	s, err := Open(context.Background(), Options{Path: path, BallastSize: 64 << 10})
	if err != nil {
		return err
	}
	defer s.Close()
	switch mode {
	case "load":
		return childLoad(s)
	case "commits":
		return childCommits(s)
	case "patient":
		return childPatient(s)
	}
	return fmt.Errorf("no mode %q", mode)
}

// childBody is the body of the message with an ID: small messages and those of
// several chunks differ in size.
func childBody(id envelope.QueueID, big bool) []byte {
	size := 10 << 10
	if big {
		size = 700 << 10
	}
	return []byte(strings.Repeat(string(id), size/len(id)))
}

func childMessage() (spool.Message, error) {
	a, err := envelope.ParseAddress("box@example.org")
	return spool.Message{
		ID: envelope.NewQueueID(time.Now()), Mailbox: a, From: a, Accepted: time.Now(),
		Envelope: envelope.Envelope{ReversePath: a, Recipients: []envelope.Address{a}},
	}, err
}

// childLoad accepts, claims and settles until it is killed, and says each
// thing once it is durable.
func childLoad(s *Store) error {
	var out sync.Mutex
	say := func(words ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(words...)
	}
	for w := range 4 {
		go func() {
			for {
				m, err := childMessage()
				if err == nil {
					err = tryAccept(s, m, childBody(m.ID, w == 0))
				}
				if err != nil {
					say("error", err)
					return
				}
				say("accepted", m.ID)
			}
		}()
	}
	lane, err := envelope.ParseAddress("box@example.org")
	for err == nil {
		var got []spool.Record
		got, err = s.Claim(context.Background(), spool.Claim{Mailbox: lane, Now: time.Now(), Limit: 2})
		for _, r := range got {
			say("claimed", r.ID)
			o := spool.Settlement{ID: r.ID, Attempt: r.Attempts, State: spool.Sent, At: time.Now()}
			if err = s.Settle(context.Background(), o); err == nil {
				say("sent", r.ID)
			}
		}
	}
	return err
}

// childCommits accepts one message after the other on a disk that fails, and
// says what became of each; when a file limit is set, mail stops when it is
// met, and continues after it was lifted.
func childCommits(s *Store) error {
	if limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ)
		old := syscall.Rlimit{}
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			return err
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
			return err
		}
		defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old) }()
		childAccept(s, 40)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			return err
		}
		childWaitHealthy(s)
	}
	childAccept(s, 20)
	return nil
}

// childPatient accepts 20 messages, and after each failure waits until the
// store is well again.
func childPatient(s *Store) error {
	for range 20 {
		childAccept(s, 1)
		if s.Health() != nil {
			childWaitHealthy(s)
		}
	}
	return nil
}

func childWaitHealthy(s *Store) {
	for range 1000 {
		if s.Health() == nil {
			fmt.Println("healthy")
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func childAccept(s *Store, messages int) {
	for range messages {
		m, err := childMessage()
		if err == nil {
			err = tryAccept(s, m, childBody(m.ID, false))
		}
		if err != nil {
			fmt.Println("failed", m.ID, err)
		} else {
			fmt.Println("accepted", m.ID)
		}
	}
}

// ledger is what a child said, kept outside the store.
type ledger struct {
	accepted, claimed, sent, failed map[string]bool
	healthy                         bool
	other                           []string
}

func newLedger() *ledger {
	return &ledger{
		accepted: map[string]bool{}, claimed: map[string]bool{},
		sent: map[string]bool{}, failed: map[string]bool{},
	}
}

func (l *ledger) note(line string) {
	word, rest, _ := strings.Cut(line, " ")
	id, _, _ := strings.Cut(rest, " ")
	switch word {
	case "accepted":
		l.accepted[id] = true
	case "claimed":
		l.claimed[id] = true
	case "sent":
		l.sent[id] = true
	case "failed":
		l.failed[id] = true
	case "healthy":
		l.healthy = true
	default:
		l.other = append(l.other, line)
	}
}

func childCommand(mode, path string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, childPath+"="+path)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// run lets a child run and notes what it says; stop is called after each line
// and ends it by SIGKILL.
func (l *ledger) run(t *testing.T, cmd *exec.Cmd, stop func(lines int) bool) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed, lines := false, 0
	for scan := bufio.NewScanner(out); scan.Scan(); {
		l.note(scan.Text())
		if lines++; !killed && stop(lines) {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatalf("the child ended with %v, having said %q", err, l.other)
	}
}
