package e2e_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/setup/certificate"
)

// renewing is a relay whose certificate renews itself, and its double.
type renewing struct {
	t             *testing.T
	d             *harness.Double
	program, conf string
	smtp          string
	file, note    string
	service       *harness.Process
	sent          int
}

// newRenewing makes a certificate of a year that began some days ago.
func newRenewing(t *testing.T, began int) *renewing {
	t.Helper()
	dir := t.TempDir()
	r := &renewing{t: t, d: harness.StartDouble(t), program: harness.Binary(t), smtp: harness.FreeAddr(t),
		conf: filepath.Join(dir, "config.yaml"), file: filepath.Join(dir, "entra.pem"),
		note: filepath.Join(dir, "entra-renewal.json")}
	pair, err := certificate.New(certificate.Request{Name: "relay", Days: 365, Bits: 2048,
		Now: time.Now().AddDate(0, 0, -began)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file, pair.PEM, 0o640); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(pair.PEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r.d.SetCertificates(cert)
	r.d.SetAllowed([]string{harness.Sender})
	socket, err := os.MkdirTemp("", "gr") // a short name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(socket) })
	keys := "certificate_file: " + r.file + ", certificate_renewal: auto, app_object_id: " + sandbox.DefaultObjectID +
		", denied_mailbox: denied@contoso.com"
	harness.WriteFile(t, r.conf, "identities:\n  - "+identityOf(t, r.d, keys)+
		"\nsenders: [{address: "+harness.Sender+"}]\nsmtp: {listeners: [{address: \""+r.smtp+
		"\"}]}\nqueue: {store: \"sqlite:"+filepath.Join(dir, "queue.db")+"\"}\nadmin: {address: \"unix:"+
		filepath.Join(socket, "a.sock")+"\"}\n")
	r.start()
	return r
}

// start starts the service, or starts it again after it was killed.
func (r *renewing) start() {
	if r.service != nil {
		r.service.Kill()
	}
	r.service = harness.Start(r.t, exec.Command(r.program, "serve", "-c", r.conf))
}

func (r *renewing) shows(words string, args ...string) {
	r.t.Helper()
	harness.Until(r.t, time.Minute, words, func() bool {
		out, _ := exec.Command(r.program, append(args, "-c", r.conf)...).CombinedOutput()
		return strings.Contains(string(out), words)
	})
}

// roll runs `cert roll` until it prints words, and kills it.
func (r *renewing) roll(words string, args ...string) {
	r.t.Helper()
	p := harness.Start(r.t, exec.Command(r.program, append([]string{"cert", "roll", "-c", r.conf}, args...)...))
	harness.Until(r.t, time.Minute, words, func() bool { return strings.Contains(p.Output(), words) })
	p.Kill()
}

// anHourLater changes the note as if eleven logins had succeeded.
func (r *renewing) anHourLater() {
	r.t.Helper()
	var n map[string]any
	if err := json.Unmarshal([]byte(readFile(r.t, r.note)), &n); err != nil {
		r.t.Fatal(err)
	}
	n["logins"], n["tried"] = 11, time.Now().Add(-6*time.Minute)
	data, err := json.Marshal(n)
	if err == nil {
		err = os.WriteFile(r.note, data, 0o640)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// send sends mail until some has gone with the certificate in force: the first may go
// with an earlier token.
func (r *renewing) send() {
	r.t.Helper()
	harness.Until(r.t, time.Minute, "mail is sent with the certificate", func() bool {
		sendTo(r.t, r.smtp, harness.Sender)
		r.sent++
		r.d.WaitFor(r.t, r.sent, time.Minute)
		out, _ := exec.Command(r.program, "status", "--json", "-c", r.conf).CombinedOutput()
		return strings.Contains(string(out), `"sent": true`)
	})
}

// check is what holds at the end of a renewal.
func (r *renewing) check(old string) {
	r.t.Helper()
	if keys := r.d.Keys(); len(keys) != 2 || keys[0].Thumbprint != old {
		r.t.Errorf("the old certificate is removed before its end: %+v", keys)
	}
	out, err := exec.Command(r.program, "cert", "show", r.file).CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "12 of 12") ||
		!strings.Contains(text, r.d.Keys()[1].Thumbprint) {
		r.t.Errorf("%v\n%s", err, out)
	}
	if info, err := os.Stat(r.file); err != nil || info.Mode().Perm() != 0o640 {
		r.t.Error(info, err)
	}
}

// root's command is killed after its first login; it goes on where it was, the
// running service loads the certificate and sends mail with it, and only then the old
// key is deleted.
func TestRootRenewsACertificate(t *testing.T) {
	r := newRenewing(t, 100)
	r.shows("renews itself: from", "status")
	r.roll("1 of 12", "--now")
	r.shows("1 of 12 logins", "status")
	old := r.d.Keys()[0].Thumbprint
	r.anHourLater()
	r.roll("in force")
	if _, err := os.Stat(filepath.Join(filepath.Dir(r.file), "entra-renewal-previous.pem")); err != nil {
		t.Errorf("the old key is gone before mail was sent: %v", err)
	}
	harness.Until(t, time.Minute, "the service loads the certificate",
		func() bool { return strings.Contains(r.service.Output(), "logging in again") })
	r.send()
	r.roll("verify found nothing wrong")
	r.check(old)
}

// The next key pair is deleted while it is tried: another one is made, the alarm says
// so, and the certificate in force stays.
func TestRootMakesALostPairAnew(t *testing.T) {
	r := newRenewing(t, 100)
	r.roll("1 of 12", "--now")
	next := filepath.Join(filepath.Dir(r.file), "entra-renewal-next.pem")
	lost := readFile(t, next)
	if err := os.Remove(next); err != nil {
		t.Fatal(err)
	}
	r.roll("1 of 12")
	if readFile(t, next) == lost || len(r.d.Keys()) != 3 {
		t.Errorf("no other pair was added: %+v", r.d.Keys())
	}
	r.shows("Key pair of the next certificate was lost from disk or changed", "status")
	r.shows("find out what changes the files beside certificate_file", "doctor")
	r.send()
}

// The service does it where it may write the folder, and goes on where it was each
// time that it is killed.
func TestTheServiceRenewsACertificate(t *testing.T) {
	r := newRenewing(t, 350)
	old := r.d.Keys()[0].Thumbprint
	r.shows("1 of 12 logins", "status")
	r.service.Kill()
	r.anHourLater()
	r.start()
	r.shows("the new one is in force", "status")
	harness.Until(t, time.Minute, "the service loads the certificate",
		func() bool { return strings.Contains(r.service.Output(), "logging in again") })
	r.send()
	r.check(old)
}
