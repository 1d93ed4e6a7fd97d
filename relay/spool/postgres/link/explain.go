package link

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"graphrelay/relay/text"
)

// reasons are the answers of a server that an administrator can do something about, by
// their SQLSTATE.
var reasons = []struct{ state, headline, remedy string }{
	{"28", "PostgreSQL refuses the user of queue.store_url_file",
		"correct user and password in the URL, or pg_hba.conf on the server"},
	{"3D000", "Database of queue.store_url_file does not exist", "create it, owned by the user of the URL"},
	{"42501", LacksRights.Headline, LacksRights.Remedy},
	{"53300", "PostgreSQL has no free connection", "raise max_connections on the server; graphrelay needs 8"},
	{"53", "PostgreSQL is full", "free space on the disk of the database"},
	{"XX001", "PostgreSQL found damaged data", "examine the disk of the database; restore it, or fail over"},
	{"XX002", "PostgreSQL found a damaged index", "examine the disk of the database; REINDEX, or fail over"},
	{"58", "PostgreSQL cannot read or write its files", "examine the disk of the database"},
	{"08P01", Pooler.Headline, Pooler.Remedy},
	{"42P05", Pooler.Headline, Pooler.Remedy}, // a prepared statement of another session is there, or ours is not
	{"26000", Pooler.Headline, Pooler.Remedy},
	{"42704", "PostgreSQL does not know a parameter of the URL in queue.store_url_file",
		"correct what follows the ? in the URL, as sslmode"},
}

// LacksRights is what a user gets who is not the owner.
var LacksRights = text.Cause{Headline: "User of queue.store_url_file lacks rights in its database",
	Remedy: "let the user own the database, or GRANT CREATE on it"}

// Pooler is what stands between where a session is not the relay's own.
var Pooler = text.Cause{Headline: "A connection pooler such as PgBouncer is in front of PostgreSQL",
	Remedy: "name the server itself in the URL: a pooler cannot pass on what keeps the queue safe"}

// Explain is what an administrator learns of a failure: a text.Cause.
func (t *Target) Explain(err error) error {
	if cause, ok := errors.AsType[text.Cause](err); ok {
		return cause
	}
	words := strings.Join(strings.Fields(err.Error()), " ") // of all hosts, in a line
	c := text.Cause{Headline: "PostgreSQL cannot be reached", Remedy: "start it, or correct host and port in the URL " +
		"of queue.store_url_file", Detail: text.Foreign(t.String()+": "+words, 500)}
	if errors.As(err, new(*x509.UnknownAuthorityError)) || strings.Contains(err.Error(), "x509: ") {
		c.Headline, c.Remedy = "Certificate of PostgreSQL cannot be verified",
			"name its CA with sslrootcert=FILE in the URL, and the host as the certificate does"
	}
	if strings.Contains(err.Error(), "read only connection") || State(err) == "25006" {
		c.Headline, c.Remedy = "PostgreSQL only reads: it is a standby, or set to read-only",
			"name the primary in the URL, or every host of the cluster"
		if strings.Contains(err.Error(), "dial error") {
			c.Headline, c.Remedy = "No host of queue.store_url_file can be written: the primary cannot be reached",
				"start the primary, or promote a standby that the URL names"
		}
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return c
	}
	for _, r := range reasons {
		if strings.HasPrefix(answer.Code, r.state) {
			c.Headline, c.Remedy = r.headline, r.remedy
			return c
		}
	}
	if !strings.HasPrefix(answer.Code, "57P") && !strings.HasPrefix(answer.Code, "25") {
		c.Headline, c.Remedy = "PostgreSQL refuses a statement", "see its log, and what the detail says"
	}
	return c
}
