// Package pgtest starts PostgreSQL servers for tests: throw-away clusters in a temporary
// folder, on a unix socket and a port of loopback, with Debian's programs. Nothing of
// the system's own clusters is touched. A server flushes as in earnest.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// Server is one cluster. Its administrator is "postgres", without a password.
type Server struct {
	Port   int
	dir    string // with data, log and socket in it
	bin    string
	as     *syscall.Credential // nil: the user of the test
	server *exec.Cmd
	ended  chan struct{}
}

// patience is how long a server may need to start or stop on a busy machine.
const patience = 2 * time.Minute

// Start starts a new cluster, with further lines of postgresql.conf. Stop ends it.
func Start(settings ...string) (*Server, error) {
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	err = s.run("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
	if err == nil {
		err = s.configure(settings...)
	}
	if err == nil {
		err = s.Launch()
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// For is Start for one test.
func For(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := Start(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

// Main runs the tests of a package that share a server, and returns the code to exit with.
func Main(m *testing.M, shared **Server) int {
	s, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Stop()
	*shared = s
	return m.Run()
}

func newServer() (*Server, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.New("PostgreSQL is not installed: apt-get install postgresql")
	}
	slices.Sort(found)
	s := &Server{bin: found[len(found)-1]}
	if s.dir, err = os.MkdirTemp(memory(), "pg"); err != nil { // short, for the path of the socket
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil || os.Getuid() != 0 {
		return s, err
	}
	return s, s.becomeUser()
}

// memory is a folder in memory with room for several clusters, "" where there is none: what
// a flush costs there is little, and no test lets the machine itself lose power.
func memory() string {
	const folder, room = "/dev/shm", 2 << 30
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < room {
		return ""
	}
	return folder
}

// becomeUser lets the server run as another user, as it refuses to be root.
func (s *Server) becomeUser() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(program string, args ...string) error {
	c := s.command(program, args...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, program), args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	return c
}

func (s *Server) configure(settings ...string) error {
	lines := append([]string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", s.Port),
		fmt.Sprintf("unix_socket_directories = '%s'", s.dir), "logging_collector = off", "max_connections = 60",
		"shared_buffers = 32MB", "max_wal_size = 128MB", "autovacuum_naptime = 5s", "wal_receiver_timeout = 5s",
		"wal_sender_timeout = 5s", "wal_retrieve_retry_interval = 200ms", "hot_standby_feedback = off",
	}, settings...)
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, f.Close())
}

// Launch starts the server of a cluster that is stopped, and waits until it answers.
func (s *Server) Launch() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.server = s.command("postgres", "-D", s.data())
	s.server.Stdout, s.server.Stderr = log, log
	err = s.server.Start()
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	ended, server := make(chan struct{}), s.server
	s.ended = ended
	go func() {
		_ = server.Wait()
		close(ended)
	}()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			return fmt.Errorf("the server ended: %s", s.Log())
		default:
		}
		if err = s.ask("SELECT 1"); err == nil || time.Now().After(until) {
			return err
		}
	}
}

// Log is what the server wrote.
func (s *Server) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

// URL names a database of the server by its port.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))}
	return u.String() + "?sslmode=disable"
}

// Name is the database of a URL.
func Name(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url[strings.LastIndex(url, "/")+1:]
}

// ask runs a statement in the database postgres.
func (s *Server) ask(sql string) error {
	_, err := s.Rows("postgres", sql)
	return err
}

// Rows runs a statement in a database, and returns the first column of what it gives.
func (s *Server) Rows(database, sql string) (list []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgconn.Connect(ctx, s.URL(database))
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	results, err := c.Exec(ctx, sql).ReadAll()
	for _, r := range results {
		for _, row := range r.Rows {
			list = append(list, string(row[0]))
		}
	}
	return list, err
}

// Exec is Rows that must work.
func (s *Server) Exec(t testing.TB, database, sql string) []string {
	t.Helper()
	list, err := s.Rows(database, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

// Database makes an empty database for one test, and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%d", time.Now().UnixNano())
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	t.Cleanup(func() { _ = s.ask("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	return s.URL(name)
}
