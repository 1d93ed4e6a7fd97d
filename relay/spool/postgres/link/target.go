package link

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"graphrelay/relay/text"
)

// Schema is where the tables are, in the database that the URL names.
const Schema = "graphrelay"

// How long something may take. A network or a server that says nothing must not keep the
// clients of the relay waiting.
const (
	connectTimeout = 5 * time.Second
	tcpUserTimeout = 5 * time.Second
	idleTimeout    = "10s" // in a transaction

	LockTimeout = "2s" // as the server says it
)

// Target is a database that a URL names. The URL may name several hosts, of which the one
// that can be written is used.
type Target struct {
	config *pgconn.Config
	hosts  []string // each once, with its port
}

// Parse reads a URL postgres://USER:PASSWORD@HOST/DATABASE with libpq's parameters. A
// server on another host must prove by its certificate who it is. Errors are a text.Cause
// and do not repeat the URL.
func Parse(url string) (*Target, error) {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, text.Cause{Headline: "URL of the queue's database does not begin with postgres://",
			Remedy: "write postgres://USER:PASSWORD@HOST/DATABASE into the file of queue.store_url_file"}
	}
	if strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r == '#' }) {
		return nil, text.Cause{
			Headline: "URL of the queue's database cannot be read: it has a space, a second line or a #",
			Remedy:   "write one URL, several hosts with commas between, and %20 for a space, %23 for # in a password"}
	}
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, unreadable(err)
	}
	t := &Target{config: config}
	for _, h := range t.all() {
		if !local(h.Host) && (h.TLSConfig == nil || h.TLSConfig.InsecureSkipVerify) {
			return nil, text.Cause{Headline: "PostgreSQL on another host must prove who it is: " + h.Host,
				Remedy: "add sslmode=verify-full to the URL, and sslrootcert=FILE for a CA of your own"}
		}
		if address := net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port))); !slices.Contains(t.hosts, address) {
			t.hosts = append(t.hosts, address)
		}
	}
	if !strings.Contains(url, "connect_timeout") {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	dialer := &net.Dialer{Control: limitSilence, KeepAlive: tcpUserTimeout}
	config.DialFunc = dialer.DialContext
	host, _ := os.Hostname()
	for name, value := range map[string]string{
		"application_name": cmp.Or(config.RuntimeParams["application_name"], "graphrelay "+host),
		"search_path":      Schema, "client_encoding": "UTF8", "lock_timeout": LockTimeout,
		"idle_in_transaction_session_timeout": idleTimeout,
		// Each way through a table is by an index, however few rows it had when that was planned; the
		// cost that PostgreSQL then invents is no reason to compile a query.
		"enable_seqscan": "off", "jit": "off",
	} {
		config.RuntimeParams[name] = value
	}
	return t, nil
}

func unreadable(err error) error {
	c := text.Cause{Headline: "URL of the queue's database cannot be read",
		Remedy: "write postgres://USER:PASSWORD@HOST/DATABASE, special characters of the password as %40 for @"}
	if strings.Contains(err.Error(), "failed to configure TLS") {
		c.Headline, c.Remedy = "PostgreSQL's sslmode or certificate files in the URL cannot be used",
			"correct sslmode, sslrootcert, sslcert and sslkey in the URL, and let the service read the files"
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok { // of a certificate
		c.Detail = path.Error()
	}
	return c
}

// all are the hosts, with the ways to reach each.
func (t *Target) all() []*pgconn.FallbackConfig {
	first := &pgconn.FallbackConfig{Host: t.config.Host, Port: t.config.Port, TLSConfig: t.config.TLSConfig}
	return append([]*pgconn.FallbackConfig{first}, t.config.Fallbacks...)
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || err == nil && ip.IsLoopback()
}

// limitSilence ends a connection whose other side does not confirm what it gets.
func limitSilence(network, _ string, c syscall.RawConn) (err error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(tcpUserTimeout.Milliseconds()))
	})
	return errors.Join(failed, err)
}

// With returns a target whose sessions have a parameter of the server set.
func (t *Target) With(name, value string) *Target {
	c := *t
	c.config = t.config.Copy()
	c.config.RuntimeParams[name] = value
	return &c
}

// String names the database for people, without user and password.
func (t *Target) String() string {
	return "database " + t.config.Database + " at " + strings.Join(t.hosts, ", ")
}

// Password is what must not appear in a log.
func (t *Target) Password() string { return t.config.Password }

func (t *Target) dialLimit() time.Duration {
	return time.Duration(len(t.all())) * (t.config.ConnectTimeout + time.Second)
}

// crashed is how a server that has lost one of its processes says that it ends all connections.
const crashed = "57P02"

// dial opens a connection; warned is called where the server warns of something but its own crash.
func (t *Target) dial(ctx context.Context, warned func()) (*pgconn.PgConn, error) {
	config := t.config.Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" && n.Code != crashed {
			warned()
		}
	}
	return pgconn.ConnectConfig(ctx, config)
}
