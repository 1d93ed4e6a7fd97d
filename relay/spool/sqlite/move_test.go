package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/db"
	"graphrelay/relay/spool/spooltest"
	"graphrelay/relay/spool/sqlite/disk"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

// filled makes a store with everything in it, and returns its folder and contents.
func filled(t *testing.T) (dir string, contents map[string]any) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, filepath.Join(dir, "queue.db"))
	spooltest.Fill(t, s)
	contents = spooltest.Contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, contents
}

func openMoving(path string) (*Store, error) {
	return Open(context.Background(), Options{Path: path, BallastSize: -1, Moving: true})
}

// inMove does something with the queue.db and the other.db of a folder.
func inMove(dir string, do func(from, to tables.Side) error) error {
	var sides [2]tables.Side
	for i, name := range []string{"queue.db", "other.db"} {
		s, err := openMoving(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer s.Close()
		sides[i] = tables.Side{Store: s.Store, Name: name}
	}
	return do(sides[0], sides[1])
}

func move(dir string, step func(tables.Carried) error) error {
	return inMove(dir, func(from, to tables.Side) error {
		_, err := tables.Move(context.Background(), from, to, step)
		return err
	})
}

func abort(dir string, step func(tables.Carried) error) error {
	return inMove(dir, func(from, to tables.Side) error { return tables.Abort(context.Background(), from, to, step) })
}

func onward(tables.Carried) error { return nil }

// childMove is killed after so many commits.
func childMove(mode, dir string) error {
	limit, err := strconv.Atoi(os.Getenv(childLimit))
	if err != nil {
		return err
	}
	run := move
	if mode == "abort" {
		run = abort
	}
	return run(dir, func(tables.Carried) error {
		if limit--; limit == 0 {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
}

// killedAfter runs a child that is killed after so many commits, and returns whether it ended before.
func killedAfter(t *testing.T, mode, dir string, commits int) (ended bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, childPath+"="+dir, childLimit+"="+strconv.Itoa(commits))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("%v: %s", err, out)
	}
	return err == nil
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if out, err := exec.Command("cp", "-a", dir+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// serves returns which of the two stores a service would work on, and why not the others.
func serves(t *testing.T, dir string) (list []string, refused map[string]string) {
	t.Helper()
	dir, refused = copyOf(t, dir), map[string]string{}
	for _, name := range []string{"queue.db", "other.db"} {
		s, err := Open(t.Context(), Options{Path: filepath.Join(dir, name), BallastSize: -1})
		if err != nil {
			refused[name] = text.ReadCause(err.Error()).Headline
			continue
		}
		list = append(list, name)
		_ = s.Close()
	}
	return list, refused
}

func wantContents(t *testing.T, path string, want map[string]any) {
	t.Helper()
	s, err := openMoving(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	spooltest.SameContents(t, spooltest.Contents(t, s), want)
}

// Wherever a move is killed, at most one store is worked on afterwards, a repeat ends it with
// everything.
func TestMoveKilledAnywhere(t *testing.T) {
	t.Parallel()
	full, contents := filled(t)
	for commits := 1; ; commits++ {
		dir := copyOf(t, full)
		ended := killedAfter(t, "move", dir, commits)
		list, refused := serves(t, dir)
		want := []string(nil)
		switch {
		case ended || refused["queue.db"] == "Queue has been moved to another store" && refused["other.db"] == "":
			want = []string{"other.db"}
		case commits == 1:
			want = []string{"queue.db"}
		}
		if !slices.Equal(list, want) {
			t.Errorf("killed after %d commits: work on %v, want %v (%v)", commits, list, want, refused)
		}
		if ended {
			if commits < 12 {
				t.Errorf("the move had only %d commits", commits)
			}
			break
		}
		if err := move(dir, onward); err != nil && !strings.HasPrefix(err.Error(), "Queue has been moved already") {
			t.Fatalf("repeated after %d commits: %v", commits, err)
		}
		wantContents(t, filepath.Join(dir, "other.db"), contents)
	}
}

func wantEmpty(t *testing.T, path string) {
	t.Helper()
	s := open(t, path)
	defer s.Close()
	got := spooltest.Contents(t, s)
	if len(got) != 6 || fmt.Sprint(got["holds"], got["refusals"], got["note"]) != "[] []" {
		t.Errorf("%s has %v", path, got)
	}
}

// Wherever a move is undone, and wherever the undoing is killed, no store with a part of a
// queue is left to work on, and a repeat leaves the queue where it was.
func TestMoveUndoneKilledAnywhere(t *testing.T) {
	t.Parallel()
	full, contents := filled(t)
	for commits := 1; ; commits += 2 {
		half := copyOf(t, full)
		if killedAfter(t, "move", half, commits) {
			return
		}
		if _, refused := serves(t, half); strings.HasPrefix(refused["queue.db"], "Queue has been moved") {
			return // it cannot be undone any more
		}
		ended := killedAfter(t, "abort", half, commits)
		list, refused := serves(t, half)
		if slices.Contains(list, "other.db") && len(list) == 1 {
			t.Errorf("killed after %d commits: work on %v (%v)", commits, list, refused)
		}
		err := abort(half, onward)
		if err != nil && (!ended || !strings.HasPrefix(err.Error(), "There is no move to undo")) {
			t.Fatalf("repeated after %d commits: %v", commits, err)
		}
		wantContents(t, filepath.Join(half, "queue.db"), contents)
		wantEmpty(t, filepath.Join(half, "other.db"))
		if list, refused := serves(t, half); len(list) != 2 {
			t.Errorf("undone after %d commits: work on %v (%v)", commits, list, refused)
		}
	}
}

// After a move the target is a queue of its own: an interrupted attempt is of unknown outcome,
// nothing is held as restored, and IDs in headers are found by the same key.
func TestMovedQueueStarts(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	before := open(t, filepath.Join(dir, "queue.db"))
	key := before.Key()
	_ = before.Close()
	if err := move(dir, onward); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "other.db"))
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Restored != 0 || stats.Sending != 0 || s.Key() != key {
		t.Errorf("stats %+v, key %v: %v", stats, s.Key() == key, err)
	}
	if err := tryAccept(s, newMessage(t, "new@example.org"), []byte("x")); err != nil {
		t.Error(err)
	}
	found, err := s.List(t.Context(), spool.Filter{Mailbox: address(t, "new@example.org"), Limit: 5})
	if err != nil || len(found) != 1 {
		t.Errorf("a new message is found %d times: %v", len(found), err)
	}
}

// What is damaged here is damaged there: a wrong checksum, and a chunk that is gone.
func TestMoveOfDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "queue.db"))
	ids := []spool.Message{}
	for range 3 {
		ids = append(ids, accept(t, s, newMessage(t, "box@example.org"), bytes.Repeat([]byte("x"), 600<<10)))
	}
	err := s.Change(t.Context(), false, func(tx *tables.Tx) error {
		return errors.Join(tx.Run("UPDATE chunk SET crc = crc + 1 WHERE id = (SELECT min(id) FROM chunk)"),
			tx.Run("DELETE FROM chunk WHERE id = (SELECT max(id) FROM chunk)"))
	})
	if err != nil {
		t.Fatal(err)
	}
	contents := spooltest.Contents(t, s)
	_ = s.Close()
	if got := contents["body of "+string(ids[0].ID)].(string); !strings.HasSuffix(got, spool.ErrDamaged.Error()) {
		t.Fatalf("the first message is not damaged: %.80q", got)
	}
	if err := move(dir, onward); err != nil {
		t.Fatal(err)
	}
	wantContents(t, filepath.Join(dir, "other.db"), contents)
}

// A message of 100 MB is carried in chunks.
func TestMoveOfALargeMessageInLittleMemory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "queue.db"))
	body := make([]byte, 100<<20)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(body)
	m := accept(t, s, newMessage(t, "box@example.org"), body)
	_ = s.Close()
	most := uint64(0)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	err := move(dir, func(tables.Carried) error {
		runtime.GC() // what is left is in use
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 24<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if got := readAll(t, open(t, filepath.Join(dir, "other.db")), m.ID); !bytes.Equal(got, body) {
		t.Error("the body differs")
	}
}

// A move knows every table and column, so that nothing new is left behind.
func TestMoveCarriesEveryColumn(t *testing.T) {
	s := open(t, newPath(t))
	staying := []string{"draft", "ending", "meta"} // of this store alone, done at each start, carried by key
	err := s.Readers.With(t.Context(), func(c *db.Conn) error {
		names, err := db.All(c, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", nil,
			func(r *db.Row) (string, error) { return r.Str(), nil })
		for _, name := range names {
			if slices.Contains(staying, name) {
				continue
			}
			columns, err := c.Text("SELECT group_concat(name, ', ') FROM pragma_table_info(?)", name)
			if got := tables.CarriedColumns(name); err != nil || len(got) != strings.Count(columns, ",")+1 {
				t.Errorf("table %s has columns %s; carried are %v (%v)", name, columns, got, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What cannot be moved is refused, with what to do.
func TestMoveRefusals(t *testing.T) {
	t.Parallel()
	full, _ := filled(t)
	moved := copyOf(t, full)
	if err := move(moved, onward); err != nil {
		t.Fatal(err)
	}
	half := copyOf(t, full)
	interrupted, commits := errors.New("interrupted"), 0
	err := move(half, func(tables.Carried) error {
		if commits++; commits == 4 {
			return interrupted
		}
		return nil
	})
	if !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	taken := copyOf(t, full)
	s := open(t, filepath.Join(taken, "other.db"))
	accept(t, s, newMessage(t, "box@example.org"), []byte("x"))
	_ = s.Close()
	back, mixed := t.TempDir(), copyOf(t, half)
	for from, to := range map[string]string{
		filepath.Join(half, "other.db"):  filepath.Join(back, "queue.db"),
		filepath.Join(taken, "other.db"): filepath.Join(mixed, "other.db"),
	} {
		if err := disk.Copy(from, to+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(to+".new", to); err != nil {
			t.Fatal(err)
		}
	}
	undoing := copyOf(t, half)
	if err := abort(undoing, func(tables.Carried) error { return interrupted }); !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir  string
		run  func(string, func(tables.Carried) error) error
		want string
	}{
		{moved, move, "Queue has been moved already; name that store in the configuration; to have the queue back, " +
			"move it from there [to other.db]"},
		{moved, abort, "Queue has been moved already; name that store in the configuration; to have the queue back, " +
			"move it from there [to other.db]"},
		{taken, move, "Store to move to is not empty; name an empty store with --to-config: another file, " +
			"or another database [other.db]"},
		{taken, abort, "There is no move to undo; start the service [queue.db]"},
		{back, move, "Queue that was to be moved is a part of another one; end the move that brought it first " +
			"[from queue.db]"},
		{mixed, abort, "Queue is being moved to another store than the one named; name the same file with " +
			"--to-config as before [to other.db]"},
		{undoing, move, "Move to this store is being undone; run it again with --abort [from queue.db]"},
	} {
		if err := c.run(c.dir, onward); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if list, _ := serves(t, taken); len(list) != 2 {
		t.Errorf("after a refusal, work on %v", list)
	}
}

// A service says why it does not start in the middle of a move, and after it.
func TestStartDuringMove(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	wants := func(name, want string) {
		_, err := Open(t.Context(), Options{Path: filepath.Join(dir, name), BallastSize: -1})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	killedAfter(t, "move", dir, 5)
	const again = "; run the same graphrelay queue move again, or undo it: add --abort "
	wants("queue.db", "Queue is being moved, and the move has not ended"+again+"[to other.db]")
	wants("other.db", "Queue has a part of another queue, whose move has not ended"+again+"[from queue.db]")
	if err := move(dir, onward); err != nil {
		t.Fatal(err)
	}
	wants("queue.db", "Queue has been moved to another store; name that store in the configuration; "+
		"to have the queue back, move it from there [to other.db]")
}

// A move that meets a fault goes on once it is mended.
func TestMoveMeetsAFault(t *testing.T) {
	t.Parallel()
	full, contents := filled(t)
	ctx := context.Background()
	broken := errors.New("broken")
	run := func(in tables.Side, sql string) error {
		return in.Store.Change(ctx, false, func(t *tables.Tx) error { return t.Run(sql) })
	}
	for _, c := range []struct {
		want string
		harm func(from, to tables.Side) error
		mend func(from tables.Side) error
	}{
		{"Queue cannot be written where it is to be moved to; mend what the detail says and run it again, " +
			"or undo it with --abort [",
			func(_, to tables.Side) error {
				to.Store.Fault = func(at string) error {
					if at == "before commit" {
						return broken
					}
					return nil
				}
				return nil
			}, nil},
		{"Queue cannot be read to move it; mend what the detail says and run it again, " +
			"or undo it with --abort [queue.db: ",
			func(from, _ tables.Side) error {
				return run(from, "ALTER TABLE word RENAME TO gone")
			},
			func(from tables.Side) error {
				return run(from, "ALTER TABLE gone RENAME TO word")
			}},
		{"Queue did not arrive whole, so it stays where it was; undo the move with --abort, and begin it again [hold: ",
			func(from, _ tables.Side) error {
				return run(from, "INSERT INTO hold SELECT 'a:new', mailbox, mailboxes, sender, identity, status, "+
					"text, since, probes, next_probe FROM hold LIMIT 1")
			},
			func(from tables.Side) error { return from.Store.EndHold(ctx, "a:new", start()) }},
	} {
		dir := copyOf(t, full)
		err := inMove(dir, func(from, to tables.Side) error {
			commits := 0
			_, err := tables.Move(ctx, from, to, func(tables.Carried) error {
				if commits++; commits == 3 {
					return c.harm(from, to)
				}
				return nil
			})
			if c.mend != nil {
				err = errors.Join(err, c.mend(from))
			}
			return err
		})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if err := move(dir, onward); err != nil {
			t.Errorf("%s: repeated: %v", c.want, err)
		}
		wantContents(t, filepath.Join(dir, "other.db"), contents)
	}
}

// A queue is not moved to a disk that is too small for it.
func TestMoveToASmallDisk(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t)
	from, err := openMoving(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := Open(t.Context(), Options{Path: newPath(t), BallastSize: -1, MinFree: 1 << 60, Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	there := tables.Side{Store: to.Store, Name: "there"}
	_, err = tables.Move(t.Context(), tables.Side{Store: from.Store}, there, onward)
	const want = "Disk of the store to move to has too little space for the queue; free space on it, " +
		"or name a store on another disk [there: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
