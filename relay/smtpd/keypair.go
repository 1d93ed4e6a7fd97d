package smtpd

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// KeyPair is a certificate and its key in two PEM files. It is read again when
// a file changes, so that a renewed certificate needs no restart and no
// connection is dropped. A change that cannot be read is logged, and the old
// pair stays in use.
type KeyPair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   string // of the files that pair was made of, or that failed
	checked time.Time
}

// recheck is how long the files are trusted to be unchanged.
const recheck = time.Second

// LoadKeyPair reads the files for the first time; then a fault is an error.
func LoadKeyPair(certFile, keyFile string, log *slog.Logger) (*KeyPair, error) {
	k := &KeyPair{certFile: certFile, keyFile: keyFile, log: log, checked: time.Now()}
	k.stamp = k.stampNow()
	pair, err := k.load()
	if err != nil {
		return nil, err
	}
	k.pair = pair
	return k, nil
}

// Certificate is for ListenerOptions.Certificate. It never fails.
func (k *KeyPair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); now.Sub(k.checked) >= recheck {
		k.checked = now
		k.refresh()
	}
	return k.pair, nil
}

// Expires tells when the certificate in use is no longer valid.
func (k *KeyPair) Expires() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pair.Leaf.NotAfter
}

// refresh reads the files when they are not those of stamp. The stamp is taken
// first: files that change while they are read are read once more. A pair that
// is half exchanged does not load, and gets its chance when the other half has
// come.
func (k *KeyPair) refresh() {
	now := k.stampNow()
	if now == k.stamp {
		return
	}
	k.stamp = now
	pair, err := k.load()
	if err != nil {
		k.log.Error("certificate not reloaded; the old one stays in use", "cause", err)
		return
	}
	k.pair = pair
	k.log.Info("certificate reloaded", "certificate_file", k.certFile, "subject", pair.Leaf.Subject.String(), "expires", pair.Leaf.NotAfter)
}

func (k *KeyPair) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w; both must be PEM files that the service can read, and belong together", k.certFile, k.keyFile, err)
	}
	return &pair, nil
}

// stampNow is different when a file was written or exchanged, also by one that
// is older.
func (k *KeyPair) stampNow() string {
	var stamp string
	for _, name := range []string{k.certFile, k.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			stamp += "none;"
			continue
		}
		stamp += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return stamp
}
