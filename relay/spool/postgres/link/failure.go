package link

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"graphrelay/relay/spool/db"
)

// kindOf says what a SQLSTATE leads to; what is not listed concerns the statement.
func kindOf(state string) db.Kind {
	for _, k := range []struct {
		prefix string
		kind   db.Kind
	}{
		{"23", db.Constraint},
		{"53300", db.Lost}, // too many connections
		{"53", db.Full},    // disk, memory, or a limit of the configuration
		{"54", db.TooBig}, {"22001", db.TooBig},
		{"XX001", db.Corrupt}, {"XX002", db.Corrupt},
		{"08", db.Lost}, {"57P", db.Lost}, // the connection, or the server is shut down
		{"25006", db.Lost}, // it has become a standby
		{"40001", db.Conflict}, {"40P01", db.Conflict}, {"55P03", db.Conflict},
	} {
		if strings.HasPrefix(state, k.prefix) {
			return k.kind
		}
	}
	return db.Other
}

// failed is err as an Error of a kind. What is no answer of the server is Lost.
func failed(err error) error {
	if err == nil {
		return nil
	}
	kind := db.Lost
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.SeverityUnlocalized != "FATAL" {
		kind = kindOf(answer.Code)
	} else if ok && kindOf(answer.Code) != db.Full {
		kind = db.Lost
	}
	return &db.Error{Kind: kind, Err: err}
}

// State is the SQLSTATE in err's chain, or "".
func State(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Code
	}
	return ""
}
