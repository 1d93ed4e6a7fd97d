package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"graphrelay/config"
	"graphrelay/relay/graph"
	"graphrelay/relay/keypair"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/wiring"
)

// ErrNoStore means that there is no store yet.
var ErrNoStore = errors.New("its first start makes it (systemctl start graphrelay); where the service runs with another configuration, name that with -c FILE")

// OpenStopped opens the store of a service that is not running, to look at it;
// ErrNoStore where none was ever made.
func OpenStopped(ctx context.Context, c *config.Config) (*sqlite.ReadOnly, error) {
	path := c.Queue.Store.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store at %s: %w", path, ErrNoStore)
	}
	return sqlite.OpenReadOnly(ctx, path)
}

// CheckCredentials reads the credential of every identity, offline, and returns
// what is wrong with them, all at once.
func CheckCredentials(c *config.Config) error {
	var all []error
	for _, id := range c.Identities {
		if id.CertificateFile.AwaitsService() || id.ClientSecretFile.AwaitsService() {
			continue
		}
		if _, err := graph.New(wiring.Graph(id, "", slog.New(slog.DiscardHandler), nil)); err != nil {
			all = append(all, fmt.Errorf("identity %s: %w", id.Name, err))
		}
	}
	return errors.Join(all...)
}

// CheckCertificate reads the certificate of the listeners, offline.
func CheckCertificate(c *config.Config) error {
	t := c.SMTP.TLS
	if t == nil {
		return nil
	}
	pair, err := keypair.Load(string(t.CertificateFile), string(t.KeyFile), nil)
	if err != nil {
		return fmt.Errorf("smtp.tls: %w", err)
	}
	if end := pair.Expires(); time.Now().After(end) {
		return fmt.Errorf("smtp.tls: certificate %s expired on %s; renew it", t.CertificateFile, end.Format(time.DateOnly))
	}
	return nil
}
