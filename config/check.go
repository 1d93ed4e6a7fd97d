package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graphrelay/config/strict"

	"golang.org/x/sys/unix"
)

// Check looks at what a valid Config needs of the host: files that can be
// read, secrets that not everybody can read, folders that can be written, and
// ports that are free. It sends nothing, changes nothing and reads no secret;
// each port is bound for a moment. It judges for the process that runs it. Nil
// means that nothing was found.
func Check(c *Config) []Problem {
	return (&hostCheck{c: c, running: Answers(c.Admin.Address)}).all()
}

// CheckFor is Check in a process that stands for the service: it has its user and,
// with sandbox, everything else that systemd gives it. file is the configuration,
// which it must read; "" skips that. Who else has a port is left to those who may
// see it.
func CheckFor(c *Config, file string, sandbox bool) []Problem {
	k := &hostCheck{c: c, running: true, sandbox: sandbox}
	if err := unix.Access(file, unix.R_OK); file != "" && err != nil {
		k.found = append(k.found, Problem{File: file, Wrong: "cannot be read by the service: " + reason(err),
			Remedy: "run: chgrp graphrelay " + file + " && chmod 640 " + file})
	}
	return k.all()
}

func (k *hostCheck) all() []Problem {
	c := k.c
	for i, id := range c.Identities {
		k.identity(i, id)
	}
	if t := c.SMTP.TLS; t != nil {
		k.file("smtp.tls.certificate_file", string(t.CertificateFile), public)
		k.file("smtp.tls.key_file", string(t.KeyFile), secret)
	}
	if url := c.Queue.StoreURLFile; url != "" {
		k.file("queue.store_url_file", string(url), secret)
	} else {
		k.folder("queue.store", filepath.Dir(c.Queue.Store.Path))
		k.file("queue.store", c.Queue.Store.Path, store)
	}
	k.folder("admin.address", filepath.Dir(c.Admin.Address.Address))
	for i, l := range c.SMTP.Listeners {
		k.listener(strict.Entry("smtp.listeners", i, "address"), l.Address)
	}
	if url := c.Alerts.WebhookURLFile; url != "" {
		k.file("alerts.webhook_url_file", string(url), secret)
	}
	if w := c.Console; w != nil {
		k.listener("console.address", w.Address)
	}
	if m := c.Metrics; m != nil {
		k.listener("metrics.address", m.Address)
	}
	k.found.ByLine()
	return k.found
}

// hostCheck collects what Check finds. running: a graphrelay with this
// configuration answers, so that busy ports are most likely its own. sandbox: this
// process runs in that of the service.
type hostCheck struct {
	c                *Config
	running, sandbox bool
	found            Errors
}

func (k *hostCheck) fail(key, wrong, remedy string) {
	k.found = append(k.found, k.c.Problem(key, wrong, remedy))
}

// Problem is what somebody else found about the value of a key.
func (c *Config) Problem(key, wrong, remedy string) Problem {
	return c.places.Problem(key, wrong, remedy)
}

func (k *hostCheck) identity(i int, id Identity) {
	k.file(strict.Entry("identities", i, "certificate_file"), string(id.CertificateFile), secret)
	k.file(strict.Entry("identities", i, "certificate_password_file"), string(id.CertificatePasswordFile), secret)
	k.file(strict.Entry("identities", i, "client_secret_file"), string(id.ClientSecretFile), secret)
	k.file(strict.Entry("identities", i, "proxy_file"), string(id.ProxyFile), secret)
	k.file(strict.Entry("identities", i, "ca_file"), string(id.CAFile), public)
}

// use says what a file is for.
type use int

const (
	public use = iota // must be there
	secret            // must be there, and not for everybody
	store             // may be absent: the first start makes it
)

// file checks one file; an empty path is none.
func (k *hostCheck) file(key, path string, u use) {
	if path == "" || Path(path).AwaitsService() && !k.sandbox {
		return
	}
	info, err := os.Stat(path)
	if u == store {
		info, err = os.Lstat(path) // the spool takes no link, which could be turned elsewhere
	}
	switch {
	case u == store && errors.Is(err, fs.ErrNotExist):
	case err != nil && strings.HasPrefix(path, credentialsFolder()+"/"):
		k.fail(key, "is a credential that systemd does not hand over", "run: systemctl edit graphrelay, and write "+
			"under [Service]: LoadCredential="+filepath.Base(path)+":/etc/graphrelay/"+filepath.Base(path))
	case err != nil && k.sandbox && hidden(path):
		k.fail(key, "is in a folder that the service does not see: "+reason(err),
			"move "+path+" to /etc/graphrelay, for the group graphrelay to read, and correct the path")
	case err != nil:
		k.fail(key, "cannot be examined: "+reason(err),
			"create "+path+", or correct the path, or the permissions of its folder")
	case !info.Mode().IsRegular():
		k.fail(key, "is not a regular file", "write the path of a file")
	case u != store && info.Size() == 0:
		k.fail(key, "is an empty file", "write its content to "+path)
	case u == store && info.Mode()&0o020 != 0:
		k.fail(key, "can be written by its group"+mode(info), "run: chmod 640 "+path)
	case u != public && info.Mode()&0o007 != 0:
		k.fail(key, "is open to every user of the host"+mode(info), "run: chmod o= "+path)
	default:
		k.access(key, path, u)
	}
}

// hidden reports whether path is in a folder that the packaged unit hides from the
// service, or gives it another of its own: asked in its sandbox.
func hidden(path string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if _, err := os.Stat("/" + top); err != nil {
		return true
	}
	return slices.ContainsFunc([]string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"},
		func(dir string) bool { return strings.HasPrefix(path, dir) })
}

func (k *hostCheck) access(key, path string, u use) {
	if err := unix.Access(path, unix.R_OK); err != nil {
		k.fail(key, "cannot be read by this user: "+reason(err), "run: chgrp graphrelay "+path+" && chmod 640 "+path)
	}
	if err := unix.Access(path, unix.W_OK); u == store && err != nil {
		k.fail(key, "cannot be written by this user: "+reason(err), "run: chown graphrelay "+path)
	}
}

// folder checks where files will be made. What is missing below /run is left
// to systemd, which makes it at start (RuntimeDirectory=).
func (k *hostCheck) folder(key, path string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, "/run/"):
	case err != nil && k.sandbox && hidden(path+"/"):
		k.fail(key, "is in a folder that the service does not see: "+reason(err),
			"write a path under /var/lib/graphrelay or /run/graphrelay")
	case err != nil:
		k.fail(key, "is in a folder that cannot be used: "+reason(err),
			"run: install -d -o graphrelay -g graphrelay -m 750 "+path)
	case !info.IsDir():
		k.fail(key, "is in a folder that is a file", "write another path, or move "+path+" away")
	case info.Mode()&0o002 != 0 && key == "queue.store":
		k.fail(key, "is in a folder that everybody can write to"+mode(info), "run: chmod 750 "+path)
	case k.sandbox && readOnly(path):
		k.fail(key, "is in a folder that the service's sandbox makes read-only", "write a path under "+
			"/var/lib/graphrelay; or run: chown graphrelay "+path+" && systemctl edit graphrelay, and write under "+
			"[Service]: BindPaths="+path)
	default:
		if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
			k.fail(key, "is in a folder that this user cannot write to: "+reason(err), "run: chown graphrelay "+path)
		}
	}
}

func readOnly(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}

func (k *hostCheck) listener(key string, l ListenAddress) {
	if l.Unix() {
		k.folder(key, filepath.Dir(l.Address))
		return
	}
	if l.Network != "tcp" {
		return // systemd holds the socket
	}
	s, err := net.Listen(l.Network, l.Address)
	if err == nil {
		s.Close()
	}
	if wrong, remedy := listenFault(err, k.running); wrong != "" {
		k.fail(key, wrong, remedy)
	}
}

// NeedsPrivilege is what is wrong with a port below 1024.
const NeedsPrivilege = "needs a privilege that this user lacks: the port is below 1024"

// listenFault says what a failure to listen means.
func listenFault(err error, running bool) (wrong, remedy string) {
	switch {
	case err == nil, errors.Is(err, unix.EADDRINUSE) && running:
		return "", ""
	case errors.Is(err, unix.EADDRINUSE):
		return "is in use by another program", "stop that program (ss -ltnp shows it), or write another port"
	case errors.Is(err, fs.ErrPermission):
		return NeedsPrivilege, "use a port from 1024 up, or let a socket unit open this one"
	}
	return "cannot be listened on: " + reason(err), "write an address that this host has"
}

// Answers reports whether somebody listens on the admin socket.
func Answers(l ListenAddress) bool {
	conn, err := net.DialTimeout(l.Network, l.Address, 2*time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// mode shows the permissions of a file.
func mode(info fs.FileInfo) string { return fmt.Sprintf(" (mode %04o)", info.Mode().Perm()) }

// reason is the system's text for an error, without the path.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
