// Package keypair holds the TLS certificate of a listener and its private key,
// and loads them again when their files change. A renewed certificate needs no
// restart, and no connection is dropped for it. If the changed files cannot be
// loaded, the failure is logged and the previous pair stays in use.
//
// The package must not know what the listener serves.
package keypair

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"graphrelay/relay/watchfile"
)

// Pair is a certificate with its key, from two PEM files. Methods may be called
// at the same time.
type Pair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	files   *watchfile.Files
	checked time.Time
	unread  string // why the files cannot be used now
}

// recheck is how long the files are assumed to be unchanged.
const recheck = time.Second

// Load reads the files for the first time; a failure is returned. Failures to
// load them again are written to log.
func Load(certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log, checked: time.Now()}
	p.files = watchfile.New(certFile, keyFile) // before they are read
	var err error
	if p.current, err = p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// Certificate is for tls.Config.GetCertificate. It never fails.
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look()
	return p.current, nil
}

// look loads changed files, if it has not looked for a while.
func (p *Pair) look() {
	if now := time.Now(); now.Sub(p.checked) >= recheck {
		p.checked = now
		p.refresh()
	}
}

// Expires returns when the certificate in use expires.
func (p *Pair) Expires() time.Time {
	expires, _ := p.State()
	return expires
}

// State returns when the certificate in use expires, and why the files cannot be
// used now, if they have changed.
func (p *Pair) State() (expires time.Time, unread string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look()
	return p.current.Leaf.NotAfter, p.unread
}

// refresh reads the files if they have changed. When only one of the two has
// been replaced, they do not match and do not load; the change of the other one
// causes the next attempt.
func (p *Pair) refresh() {
	if !p.files.Changed() {
		return
	}
	pair, err := p.read()
	if p.unread = ""; err != nil {
		p.unread = err.Error()
		p.log.Error("cannot load the changed certificate; keeping the previous one", "error", err)
		return
	}
	p.current = pair
	if pair.Leaf.NotAfter.Before(time.Now()) {
		p.log.Error("the new certificate has expired", "certificate_file", p.certFile,
			"expired", pair.Leaf.NotAfter)
		return
	}
	p.log.Info("certificate reloaded", "certificate_file", p.certFile,
		"subject", pair.Leaf.Subject.String(), "expires", pair.Leaf.NotAfter)
}

func (p *Pair) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w; both must be PEM files that the service can read, "+
			"and they must belong together", p.certFile, p.keyFile, err)
	}
	return &pair, nil
}
