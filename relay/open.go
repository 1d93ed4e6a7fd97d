package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"syscall"

	"graphrelay/config"
	"graphrelay/relay/graph"
	"graphrelay/relay/spool/sqlite"
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

// listenHint adds to an error of listening what to do about it; key is where the
// address stands in the configuration.
func listenHint(key, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES) && strings.HasPrefix(address, "unix:"):
		return fmt.Errorf("%w; the folder of %s must let the user who runs this write into it: chown it, or write another path in %s", err, address, key)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; ports below 1024 need CAP_NET_BIND_SERVICE (systemd/graphrelay.service gives it), or choose a port such as 2525 in %s", err, key)
	case errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(address, "unix:"):
		return fmt.Errorf("%w; another program listens on %s: stop it (ss -lxp shows it), or choose another path in %s", err, address, key)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another program listens on %s: stop it (ss -ltnp shows it; often postfix or exim4), or choose another address in %s", err, address, key)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w; the folder of %s must exist: create it, or let systemd do so (RuntimeDirectory=)", err, address)
	}
	return err
}

// CheckCredentials reads the credential of every identity, offline, and returns
// what is wrong with them, all at once.
func CheckCredentials(c *config.Config) error {
	r := newRelay(Options{Log: slog.New(slog.DiscardHandler)})
	var all []error
	for _, id := range c.Identities {
		if id.CertificateFile.AwaitsService() || id.ClientSecretFile.AwaitsService() {
			continue
		}
		if _, err := graph.New(r.graphConfig(id)); err != nil {
			all = append(all, fmt.Errorf("identity %s: %w", id.Name, err))
		}
	}
	return errors.Join(all...)
}

// mustURL parses a URL that config has already judged.
func mustURL(u string) *url.URL {
	parsed, err := url.Parse(u)
	if err != nil {
		panic("config let a bad URL through: " + err.Error())
	}
	return parsed
}
