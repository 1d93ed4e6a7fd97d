//go:build interop

package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// sendmail makes a symbolic link of that name to the real program, as a host
// without another mail system has it, and returns its path and the environment
// in which it hands over to the relay.
func (s setup) sendmail(t *testing.T) (link string, env []string) {
	t.Helper()
	link = filepath.Join(t.TempDir(), "sendmail")
	if err := os.Symlink(harness.Binary(t), link); err != nil {
		t.Fatal(err)
	}
	return link, append(os.Environ(), "GRAPHRELAY_SUBMIT="+s.tap.Addr, "HOME="+t.TempDir())
}

// same checks that the message was given to the relay with this text and these
// recipients, and that nothing of it was lost on the way to Graph.
func (s setup) same(t *testing.T, body string, to ...string) harness.Message {
	t.Helper()
	got := s.arrived(t, 1)[0]
	if !slices.Equal(harness.Folded(got.Recipients), harness.Folded(to)) {
		t.Errorf("it goes to %q, want %q", got.Recipients, to)
	}
	fields, arrived := harness.Split(string(got.Raw))
	if arrived != harness.CRLF(body) {
		t.Errorf("the text arrived as %q, want %q", arrived, body)
	}
	if field := harness.Field(fields, "Bcc"); field != "" && !slices.Contains(to, field) {
		t.Errorf("Bcc: %s", field)
	}
	return got
}

// cron pipes a job's output to "sendmail -FCronDaemon -i -B8BITMIME -oem root":
// a sender and a recipient without a domain.
func TestCronJob(t *testing.T) {
	s := start(t, harness.With("top", "aliases: {root: admin@example.org}"))
	link, env := s.sendmail(t)
	cmd := exec.Command(link, "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root")
	cmd.Env = env
	run(t, cmd, "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web01> backup\nMIME-Version: 1.0\n"+
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: "+
		"<HOME=/root>\n\nGr\u00fc\u00dfe\n.\n..\n")
	got := single(t, s)
	fields, body := harness.Split(string(got.Raw))
	if body != "Gr\u00fc\u00dfe\r\n.\r\n..\r\n" {
		t.Errorf("the text arrived as %q", body)
	}
	if !slices.Equal(got.Recipients, []string{"admin@example.org"}) {
		t.Errorf("it goes to %q, want the alias of root", got.Recipients)
	}
	if from := harness.Field(fields, "From"); !strings.Contains(from, harness.Sender) {
		t.Errorf("From is %q, want the relay's first sender", from)
	}
}

// mdadm, smartd and logwatch write a whole message to "sendmail -t".
func TestMdadmReport(t *testing.T) {
	s := start(t, harness.With("top", "aliases: {root: admin@example.org}"))
	link, env := s.sendmail(t)
	cmd := exec.Command(link, "-t")
	cmd.Env = env
	run(t, cmd, "From: mdadm monitoring <root>\nTo: root\nSubject: DegradedArray event on /dev/md0:web01\n\nThis is "+
		"an automatically generated mail message.\n")
	got := single(t, s)
	_, body := harness.Split(string(got.Raw))
	if body != "This is an automatically generated mail message.\r\n" ||
		!slices.Equal(got.Recipients, []string{"admin@example.org"}) {
		t.Errorf("to %q: %q", got.Recipients, body)
	}
}

// single waits for the one message where header and envelope are changed on purpose.
func single(t *testing.T, s setup) harness.Message {
	t.Helper()
	if !harness.Holds(patience, func() bool { return len(s.double.Received()) > 0 }) {
		t.Fatalf("nothing arrived\n%s", s.Tail())
	}
	s.WaitEmpty(patience)
	return s.double.Received()[0]
}

func TestPHPMail(t *testing.T) {
	php := foreign.PHP(t)
	s := start(t)
	link, env := s.sendmail(t)
	cmd := php("-n", "-d", "sendmail_path="+link+" -t -i", "testdata/mail.php", harness.Sender)
	cmd.Env = append(cmd.Env, env[len(env)-2:]...)
	run(t, cmd, "")
	s.same(t, "Gr\u00fc\u00dfe\n.\n..two\n"+strings.Repeat("x", 300)+"\n", three...)
}

// repository makes one with a single commit and returns git's arguments for it.
func repository(t *testing.T, git foreign.Program) string {
	t.Helper()
	dir := t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "file.txt"), "Gr\u00fc\u00dfe\n.\n..two\n")
	run(t, git("-C", dir, "init", "-q"), "")
	run(t, git("-C", dir, "add", "file.txt"), "")
	run(t, git("-C", dir, "-c", "user.name=J\u00fcrgen", "-c", "user.email="+harness.Sender, "commit", "-q", "-m",
		"A change \u2013 with a dash\n\n.\n..two"), "")
	run(t, git("-C", dir, "format-patch", "-q", "-1", "-o", "out"), "")
	return dir
}

// patch is the body of the one patch.
func patch(t *testing.T, dir string) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "out", "*.patch"))
	if len(files) != 1 {
		t.Fatalf("patches: %q", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(b), "\n\n")
	return body
}

func sendEmail(dir string, more ...string) []string {
	args := []string{"-C", dir, "-c", "user.name=J\u00fcrgen", "-c", "user.email=" + harness.Sender, "send-email",
		"--quiet", "--confirm=never", "--suppress-cc=all",
		"--from", "J\u00fcrgen <" + harness.Sender +
			">", "--envelope-sender", harness.Sender, "--to", three[0], "--cc", three[1], "--bcc", three[2]}
	return append(append(args, more...), "out")
}

func TestGitSendEmailBySendmail(t *testing.T) {
	git := foreign.Git(t)
	s := start(t)
	link, env := s.sendmail(t)
	dir := repository(t, git)
	cmd := git(sendEmail(dir, "--sendmail-cmd="+link+" -i")...)
	cmd.Env = append(cmd.Env, env[len(env)-2:]...)
	run(t, cmd, "")
	s.same(t, patch(t, dir), three...)
}

func TestGitSendEmailAuthenticates(t *testing.T) {
	git := foreign.Git(t)
	for _, c := range []struct{ tls, encryption string }{{"required", "tls"}, {"implicit", "ssl"}} {
		t.Run(c.tls, func(t *testing.T) {
			d := startDevice(t, c.tls)
			dir := repository(t, git)
			cmd := git(sendEmail(dir, "--smtp-server=localhost", "--smtp-server-port="+d.port,
				"--smtp-encryption="+c.encryption,
				"--smtp-ssl-cert-path="+d.certificate, "--smtp-user="+login, "--smtp-pass="+
					password, "--smtp-domain=client.example.org")...)
			run(t, cmd, "")
			_, body := harness.Split(string(d.one(t).Raw))
			if want := harness.CRLF(patch(t, dir)); body != want {
				t.Errorf("the patch arrived as %q, want %q", body, want)
			}
		})
	}
}
