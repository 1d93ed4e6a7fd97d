// Package doctor examines this host for whatever keeps mail from flowing: files
// and their modes, ports and who holds them, disk, store, systemd, the networks
// of the clients, and the connection to Entra and Graph.
//
// # Promises
//
// It sends no mail and changes nothing. Each symptom that is not ok ends with
// what to do about it. Whatever cannot be examined from here, such as a firewall
// between two networks or the sockets of another user's program, is reported as
// a warning and never as ok. Examine does not fail: what goes wrong in it is a
// symptom.
//
// # What it must not know
//
// The running service, beyond what its admin socket answers.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/config"
	"graphrelay/relay/admin"
	"graphrelay/relay/graph"
	"graphrelay/relay/spool"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// Symptom is one line of the doctor.
type Symptom struct {
	Mark   verify.Mark `json:"mark"`
	About  string      `json:"about"`
	Text   string      `json:"text"`
	Remedy string      `json:"remedy,omitempty"`
}

// examiner examines this host and what it reaches.
type examiner struct {
	c       *config.Config
	version string
	running bool // a service with this configuration answers
	report  func(Symptom)
}

// Examine reports everything that can be found out from this host, each with what
// to do about it. Run it as the service's user or as root.
func Examine(ctx context.Context, c *config.Config, version string, report func(Symptom)) {
	d := &examiner{c: c, version: version, report: report}
	d.service(ctx)
	d.host()
	d.ports()
	d.disk()
	d.store(ctx)
	d.unit(ctx)
	d.clients()
	d.identities(ctx)
}

func (d *examiner) ok(about, format string, args ...any) {
	d.report(Symptom{Mark: verify.OK, About: about, Text: fmt.Sprintf(format, args...)})
}

func (d *examiner) fail(about, text, remedy string) {
	d.report(Symptom{Mark: verify.Fail, About: about, Text: text, Remedy: remedy})
}

func (d *examiner) warn(about, text, remedy string) {
	d.report(Symptom{Mark: verify.Warn, About: about, Text: text, Remedy: remedy})
}

// service asks the running service how it is.
func (d *examiner) service(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := admin.Dial(d.c.Admin.Address.Address).Status(ctx)
	if err != nil {
		d.warn("service", "it does not answer at "+d.c.Admin.Address.String(), "start it (systemctl start graphrelay), or run this as root or as a member of the group graphrelay")
		return
	}
	d.running = true
	if !s.Healthy {
		d.fail("service", "it runs, and takes no mail: "+s.Health, "see graphrelay status")
		return
	}
	d.ok("service", "version %s runs since %s", s.Version, s.Started.Format(time.RFC3339))
	for _, w := range s.Warnings {
		d.warn("service", w, "see graphrelay status")
	}
	for _, h := range s.Holds {
		d.warn("hold", h.Key+": "+h.Text, "sending resumes by itself when the cause is mended; see graphrelay status")
	}
}

// host is what `graphrelay check` looks at: files with their modes and owners,
// folders, free ports.
func (d *examiner) host() {
	found := config.Check(d.c)
	for _, p := range found {
		d.fail("host", p.Key+" "+p.Wrong, p.Remedy)
	}
	if len(found) == 0 {
		d.ok("host", "files, modes, owners and folders are as they must be")
	}
	if err := errors.Join(CheckCredentials(d.c), CheckCertificate(d.c)); err != nil {
		d.fail("host", err.Error(), "see graphrelay check")
	}
}

// disk looks at the room that the store has.
func (d *examiner) disk() {
	dir := filepath.Dir(d.c.Queue.Store.Path)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		d.fail("disk", dir+" cannot be looked at: "+err.Error(), "where it is missing create it: install -d -o graphrelay -g graphrelay -m 750 "+dir+"; else run this as root")
		return
	}
	free, least := int64(fs.Bavail)*fs.Bsize, int64(d.c.Queue.MinFreeSpace)
	text := fmt.Sprintf("%d MiB free at %s; below %d MiB no mail is taken", free>>20, dir, least>>20)
	switch {
	case free < least:
		d.fail("disk", text, "free space, or lower queue.min_free_space")
	case free < 2*least:
		d.warn("disk", text, "free space")
	default:
		d.ok("disk", "%s", text)
	}
	if network := networkFS(int64(fs.Type)); network != "" {
		d.fail("disk", dir+" is on "+network+", where SQLite's locks and flushes cannot be trusted", "put queue.store on a local disk")
	}
}

// networkFS names the file systems that come over a network, by statfs(2).
func networkFS(kind int64) string {
	switch kind {
	case 0x6969:
		return "NFS"
	case 0xff534d42, 0xfe534d42:
		return "SMB"
	case 0x01021997:
		return "9p"
	}
	return ""
}

// store looks for damage. A running service holds the store and watches over it
// itself.
func (d *examiner) store(ctx context.Context) {
	path := d.c.Queue.Store.Path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		d.ok("spool", "%s is not there yet; the first start makes it", path)
		return
	}
	s, err := sqlite.OpenReadOnly(ctx, path)
	switch {
	case errors.Is(err, spool.ErrLocked):
		d.ok("spool", "a service works on it (WAL, synchronous=FULL) and marks what is damaged; stop it for a look at every page")
		return
	case err != nil:
		d.fail("spool", err.Error(), "see the log of the service; copy the file away before anything else")
		return
	}
	defer s.Close()
	if err := s.Check(ctx); err != nil {
		d.fail("spool", err.Error(), "copy the file away before anything else, and start with a new one where it must be quick")
		return
	}
	d.ok("spool", "%s is whole, in WAL mode; the service writes it with synchronous=FULL", path)
}

// identities tries the way to Entra and Graph, and what each identity may do.
func (d *examiner) identities(ctx context.Context) {
	all, err := wiring.VerifyIdentities(d.c, d.version, nil)
	if err != nil {
		d.fail("identity", err.Error(), "correct the configuration")
		return
	}
	for i, id := range all {
		if d.reach(ctx, d.c.Identities[i]) {
			verify.Examine(ctx, id, verify.Verifier{}, func(f verify.Finding) {
				d.report(Symptom{f.Mark, id.Name + " " + string(f.Step), f.Text, f.Remedy})
			})
		}
	}
}

// reach tries both servers of an identity, by the way that its mail takes;
// false if one cannot be reached.
func (d *examiner) reach(ctx context.Context, id config.Identity) bool {
	name := string(id.Name)
	way, err := graph.WayOf(wiring.Graph(id, d.version, slog.New(slog.DiscardHandler), nil))
	if err != nil {
		d.fail(name+" way", err.Error(), "correct the configuration")
		return false
	}
	well := true
	for _, server := range []struct {
		what string
		url  *url.URL
	}{
		{"login", way.Login.JoinPath(string(id.TenantID), "v2.0/.well-known/openid-configuration")}, {"graph", way.Graph.JoinPath("v1.0/")},
	} {
		f := verify.Reach{What: server.what, URL: server.url, Proxy: way.Proxy, Roots: way.Roots, Now: time.Now}.Try(ctx)
		d.report(Symptom{f.Mark, name + " " + server.what, f.Text, f.Remedy})
		well = well && f.Mark != verify.Fail
	}
	return well
}
