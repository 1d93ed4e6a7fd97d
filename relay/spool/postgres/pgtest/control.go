package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Standby makes a standby of the server, for which each commit waits. It ends with the
// test.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	err = standby.run("pg_basebackup", "-D", standby.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port),
		"-U", "postgres", "-X", "stream", "-c", "fast")
	if err == nil {
		err = os.WriteFile(filepath.Join(standby.data(), "standby.signal"), nil, 0o644)
	}
	if err == nil {
		err = standby.configure("primary_conninfo = 'host=127.0.0.1 user=postgres application_name=standby port=" +
			strconv.Itoa(s.Port) + "'")
	}
	if err == nil {
		err = standby.Launch()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	s.Exec(t, "postgres", "SELECT pg_reload_conf()")
	s.await(t, "SELECT sync_state FROM pg_stat_replication WHERE sync_state = 'sync'", "sync")
	return standby
}

// Promote makes a standby a server that writes, and waits until it is one.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = ''")
	s.Exec(t, "postgres", "SELECT pg_promote(true, 120)")
	s.await(t, "SELECT pg_is_in_recovery()", "f")
}

func (s *Server) await(t testing.TB, sql, want string) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got, err := s.Rows("postgres", sql)
		if err == nil && len(got) == 1 && got[0] == want {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: %v, %v; log:\n%s", sql, got, err, s.Log())
		}
	}
}

// Kill ends a server like a crash of it, and waits for its end. Launch starts it again.
func (s *Server) Kill() error {
	if s.server == nil || s.server.Process == nil {
		return nil
	}
	select {
	case <-s.ended:
		return nil
	default:
	}
	s.Thaw()
	if err := s.server.Process.Signal(syscall.SIGQUIT); err != nil { // "immediate": without a checkpoint
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("the server at port %d does not end", s.Port), s.server.Process.Kill())
	}
}

// Stop ends a server and removes the cluster.
func (s *Server) Stop() error { return errors.Join(s.Kill(), os.RemoveAll(s.dir)) }

// Freeze stops every process of the server where it is, until Thaw: its connections
// stay open and say nothing.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(to syscall.Signal) {
	pids := []int{s.server.Process.Pid}
	for ; ; time.Sleep(time.Millisecond) { // until no further child has come
		for _, pid := range pids {
			_ = syscall.Kill(pid, to)
		}
		if now := append(pids[:1:1], children(pids[0])...); len(now) <= len(pids) {
			return
		} else {
			pids = now
		}
	}
}

// children are the processes with this parent.
func children(parent int) (list []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			list = append(list, pid)
		}
	}
	return list
}

// Folder makes a folder that the server owns; it goes with the cluster.
func (s *Server) Folder(t testing.TB) string { return s.FolderIn(t, s.dir) }

// FolderIn is Folder at another place.
func (s *Server) FolderIn(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "folder")
	if err == nil && s.as != nil {
		err = os.Chown(dir, int(s.as.Uid), int(s.as.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
