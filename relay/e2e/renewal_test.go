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
)

// The whole way of a renewal, in the real program: `cert roll` is killed after its
// first login; it goes on where it was, the running service loads the certificate and
// sends mail with it, and only then the old key is deleted. In between the test lets
// an hour pass, in the note.
func TestACertificateRenewsItself(t *testing.T) {
	d := harness.StartDouble(t)
	dir, program := t.TempDir(), harness.Binary(t)
	if out, err := exec.Command(program, "cert", "new", "--out", dir, "--days", "20").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(dir, "entra.pem")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	d.SetCertificates(certificateIn(t, file))
	smtp := harness.FreeAddr(t)
	yaml := "identities:\n  - " + identityOf(t, d, "certificate_file: "+file+", certificate_renewal: auto, app_object_id: "+
		sandbox.DefaultObjectID+", denied_mailbox: canary@contoso.com") + "\nsenders: [{address: " + harness.Sender +
		"}]\nsmtp: {listeners: [{address: \"" + smtp + "\"}]}\nqueue: {store: \"sqlite:" + filepath.Join(dir, "queue.db") +
		"\"}\nadmin: {address: \"unix:" + filepath.Join(shortDir(t), "a.sock") + "\"}\n"
	config := filepath.Join(dir, "config.yaml")
	harness.WriteFile(t, config, yaml)
	d.SetAllowed([]string{harness.Sender})
	service := harness.Start(t, exec.Command(program, "serve", "-c", config))
	status := func() string {
		out, _ := exec.Command(program, "status", "-c", config).CombinedOutput()
		return string(out)
	}
	harness.Until(t, time.Minute, "the service runs", func() bool { return strings.Contains(status(), "renews itself: from") })

	roll := func(until string, args ...string) {
		t.Helper()
		p := harness.Start(t, exec.Command(program, append([]string{"cert", "roll", "-c", config}, args...)...))
		harness.Until(t, time.Minute, until, func() bool { return strings.Contains(p.Output(), until) })
		p.Kill()
	}
	roll("1 of 12", "--now")
	old := d.Keys()[0].Thumbprint
	if keys := d.Keys(); len(keys) != 2 || !strings.Contains(status(), "1 of 12 logins") {
		t.Fatalf("%+v\n%s", keys, status())
	}
	anHourLater(t, filepath.Join(dir, "entra-renewal.json"))
	roll("in force")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Error(info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "entra-renewal-previous.pem")); err != nil {
		t.Errorf("the old key is gone before mail was sent: %v", err)
	}
	harness.Until(t, time.Minute, "the service loads the certificate",
		func() bool { return strings.Contains(service.Output(), "logging in again") })
	sendTo(t, smtp, harness.Sender)
	d.WaitFor(t, 1, time.Minute)
	roll("verify found nothing wrong")
	if _, err := os.Stat(filepath.Join(dir, "entra-renewal-previous.pem")); err == nil {
		roll("renews itself")
	}
	if keys := d.Keys(); len(keys) != 2 || keys[0].Thumbprint != old {
		t.Errorf("the old certificate is removed before its end: %+v", keys)
	}
	if out, err := exec.Command(program, "cert", "show", file).CombinedOutput(); err != nil ||
		!strings.Contains(string(out), "12 of 12") || strings.Contains(string(out), old) != true {
		t.Errorf("%v\n%s", err, out)
	}
}

// anHourLater changes a note as if eleven logins had succeeded.
func anHourLater(t *testing.T, note string) {
	t.Helper()
	var n map[string]any
	if err := json.Unmarshal([]byte(readFile(t, note)), &n); err != nil {
		t.Fatal(err)
	}
	n["logins"], n["tried"] = 11, time.Now().Add(-6*time.Minute)
	data, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(note, data, 0o640); err != nil {
		t.Fatal(err)
	}
}

func certificateIn(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, file)))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// shortDir has a short name, for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
