package graph

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// watchInterval is how often the files are looked at: a stat each, which also
// sees what replaces a file or turns a symbolic link, as Kubernetes does.
const watchInterval = 5 * time.Second

// watch takes changed files over, until ctx ends.
func (c *Client) watch(ctx context.Context) {
	seen, told := c.loaded, c.secretsInUse()
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := c.fingerprint(); !slices.Equal(now, seen) {
			seen = now
			told = c.reload(told)
		}
	}
}

// reload takes over what the files hold now, and tells where that differs from
// told. What cannot be read is not taken over: a file may be in the middle of
// being written, and the end of that is another change.
func (c *Client) reload(told inUse) inUse {
	err := c.loadAgain()
	if err == nil && c.cfg.ProxyFile != "" {
		err = c.proxy.load(c.cfg)
	}
	if err != nil {
		c.cfg.Log.Warn("a changed file is not taken over, what it held before is used", "error", err)
		return told
	}
	now := c.secretsInUse()
	if now.same(told) {
		return told
	}
	if now.proxy != told.proxy {
		c.transport.CloseIdleConnections()
	}
	c.cfg.Log.Info("credential files have changed, logging in anew")
	c.tokens.restart()
	c.cfg.OnCredentialChange()
	return now
}

// inUse is what the watched files held when it was last told. A login reads
// them too, so the credential in use may be newer.
type inUse struct {
	credential credential
	proxy      string
}

func (a inUse) same(b inUse) bool { return a.credential.same(b.credential) && a.proxy == b.proxy }

func (c *Client) secretsInUse() inUse {
	u := inUse{credential: c.current()}
	if p := c.proxy.fixed.Load(); p != nil {
		u.proxy = p.String()
	}
	return u
}

// files lists what is watched. The federated token is not: it is read for
// each login, and changes every hour without anything being wrong.
func (c *Client) files() []string {
	var list []string
	for _, f := range []string{c.cfg.SecretFile, c.cfg.CertificateFile, c.cfg.CertificatePasswordFile, c.cfg.ProxyFile} {
		if f != "" {
			list = append(list, f)
		}
	}
	return list
}

// fingerprint sums up the state of the watched files.
func (c *Client) fingerprint() []string {
	var all []string
	for _, path := range c.files() {
		all = append(all, fingerprint(path))
	}
	return all
}

// fingerprint tells one state of a file from another, by what stat says of the
// file behind all symbolic links: time of change, size and inode.
func fingerprint(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "missing"
	}
	inode := uint64(0)
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = sys.Ino
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode)
}
