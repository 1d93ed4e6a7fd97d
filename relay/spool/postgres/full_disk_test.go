//go:build postgres

package postgres

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/spool"
	"graphrelay/relay/spool/postgres/pgtest"
)

// On a disk that is really full, messages are refused with ErrFull, outcomes are recorded, and
// nothing that was accepted is lost.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("only root can mount a small disk")
	}
	own := pgtest.For(t)
	disk := own.Folder(t)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=40m,mode=777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Stop(); _ = syscall.Unmount(disk, 0) })
	inner := own.FolderIn(t, disk)
	own.Exec(t, "postgres", "CREATE TABLESPACE small LOCATION '"+inner+"'")
	own.Exec(t, "postgres", "CREATE DATABASE full_disk TABLESPACE small")
	s := open(t, Options{URL: own.URL("full_disk")})
	kept := []spool.Message{acceptSoon(t, s), acceptSoon(t, s)}
	taken, err := claim(s)
	must(t, err)
	body := strings.Repeat("x", 1<<20)
	for err == nil {
		m := newMessage()
		if err = accept(s, m, body); err == nil {
			kept = append(kept, m)
		}
	}
	if !errors.Is(err, spool.ErrFull) {
		t.Fatalf("a full disk after %d messages: %v", len(kept), err)
	}
	for _, r := range taken {
		must(t, s.Settle(t.Context(), spool.Settlement{ID: r.ID, Attempt: 1, State: spool.Sent, At: time.Now()}))
	}
	must(t, syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=80m,mode=777"))
	wantQueue(t, s, append(kept, acceptSoon(t, s))...)
}
