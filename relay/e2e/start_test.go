package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// refusesToStart runs a relay that must end at once with this exit code, and
// returns what it said.
func refusesToStart(t *testing.T, r *harness.Relay, code int) string {
	t.Helper()
	r.Launch()
	endsWith(t, r, code)
	return r.Output()
}

func endsWith(t *testing.T, r *harness.Relay, code int) {
	t.Helper()
	var exit *exec.ExitError
	if err := r.Wait(patience); !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("ended with %v, want exit code %d\n%s", err, code, r.Tail())
	}
}

func TestTwoDaemonsNeverShareAStore(t *testing.T) {
	first, d := start(t)
	second := harness.NewRelay(t, d, harness.StoreAt(first.Store))
	said := refusesToStart(t, second, 1)
	if !strings.Contains(said, first.Store) {
		t.Errorf("the refusal does not name the store: %s", said)
	}
	harness.Hello(t, first.Addr).Send(harness.Sender, []string{anyone}, plain("undisturbed"))
	d.WaitFor(t, 1, patience)
}

func TestAMissingStoreFolderIsNotMade(t *testing.T) {
	d := harness.NewDouble(t)
	folder := filepath.Join(t.TempDir(), "typo")
	said := refusesToStart(t, harness.NewRelay(t, d, harness.StoreAt(filepath.Join(folder, "queue.db"))), 1)
	if !strings.Contains(said, folder) {
		t.Errorf("the refusal does not name the folder: %s", said)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the missing folder was made")
	}
}

// Others must neither read mail nor change the queue.
func TestAStoreFolderOpenToAllIsRefused(t *testing.T) {
	d := harness.NewDouble(t)
	folder := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	said := refusesToStart(t, harness.NewRelay(t, d, harness.StoreAt(filepath.Join(folder, "queue.db"))), 1)
	if !strings.Contains(said, folder) {
		t.Errorf("the refusal does not name the folder: %s", said)
	}
}

// A configuration mistake: exit 2, and the line.
func TestAConfigurationMistakeIsNamed(t *testing.T) {
	d := harness.NewDouble(t)
	r := harness.NewRelay(t, d, harness.With("smtp", "max_recipient: 3"))
	b, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	line := 1 + strings.Count(string(b[:strings.Index(string(b), "max_recipient")]), "\n")
	want := r.Config + ":" + strconv.Itoa(line)
	if said := refusesToStart(t, r, 2); !strings.Contains(said, want) || !strings.Contains(said, "max_recipient") {
		t.Errorf("serve says %q, want %s and the key", said, want)
	}
	out, err := r.Run("check")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(out, want) {
		t.Errorf("check ends with %v and %q, want exit code 2 and %s", err, out, want)
	}
}

// A relay that boots before the network takes mail all the same.
func TestMailIsTakenWithoutANetwork(t *testing.T) {
	t.Parallel()              // it waits for a backoff
	d := harness.NewDouble(t) // nothing listens at its address
	r := harness.StartRelay(t, d)
	c := harness.Hello(t, r.Addr)
	for _, subject := range []string{"early-1", "early-2"} {
		c.Send(harness.Sender, []string{anyone}, plain(subject))
	}
	if list := r.Queue(); len(list) != 2 {
		t.Errorf("the queue lists %d messages, want 2", len(list))
	}
	d.Listen(t)
	d.WaitFor(t, 2, longPatience)
	r.WaitEmpty(patience)
}
