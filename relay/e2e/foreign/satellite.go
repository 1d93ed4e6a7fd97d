package foreign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Smarthost is where a satellite hands its mail, and how.
type Smarthost struct {
	Host, Port     string
	User, Password string
	CAFile         string
	Implicit       bool // TLS at once instead of STARTTLS
}

// Exim returns a Program that hands the message on standard input to h by the
// time it ends: arguments are those of sendmail. Its spool is below dir, its log
// is dir/log/mainlog. What it cannot hand over it gives up at once.
func Exim(t testing.TB, dir string, h Smarthost) Program {
	t.Helper()
	NeedRoot(t, "Exim runs its deliveries under another user")
	tree := Debian(t, eximPackages)
	own := ownSystem(t, dir)
	uid, gid := owner(t, "mail", "mail")
	for _, d := range []string{"spool", "log"} {
		mkdir(t, filepath.Join(dir, d), 0o750, uid, gid)
	}
	conf := filepath.Join(dir, "exim.conf")
	write(t, conf, eximConf(tree, dir, h))
	return func(args ...string) *exec.Cmd {
		return own(tree, "/usr/sbin/exim4", append([]string{"-C", conf, "-odf"}, args...)...)
	}
}

// eximConf finds the smarthost byname, in /etc/hosts: no DNS is asked, which
// would defer the mail where the machine's resolver is out of reach.
func eximConf(tree Tree, dir string, h Smarthost) string {
	protocol := ""
	if h.Implicit {
		protocol = "protocol = smtps"
	}
	return fmt.Sprintf(`exim_path = %s
spool_directory = %s/spool
log_file_path = %s/log/%%slog
pid_file_path = %s/exim.pid
primary_hostname = satellite.example.org
exim_user = mail
exim_group = mail
never_users =
deliver_drop_privilege = true
disable_ipv6 = true
log_selector = +tls_certificate_verified
tls_advertise_hosts =
keep_environment = LD_LIBRARY_PATH
begin routers
satellite:
  driver = manualroute
  route_list = * %s byname
  self = send
  transport = relay
begin transports
relay:
  driver = smtp
  port = %s
  %s
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = %s
  tls_verify_hosts = *
  message_linelength_limit = 100000
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^%s^%s
`, tree.Path("/usr/sbin/exim4"), dir, dir, dir, h.Host, h.Port, protocol, h.CAFile, h.User, h.Password)
}

// Dma returns DragonFly's mail agent as a Program with the arguments of
// sendmail. It delivers before it ends.
func Dma(t testing.TB, dir string, h Smarthost) Program {
	t.Helper()
	tree := Debian(t, dmaPackages)
	lines := []string{"SMARTHOST " + h.Host, "PORT " + h.Port, "AUTHPATH /etc/dma/auth.conf", "SECURETRANSFER",
		"MAILNAME satellite.example.org"}
	if !h.Implicit {
		lines = append(lines, "STARTTLS")
	}
	own := ownSystem(t, dir)
	uid, gid := owner(t, "mail", "mail")
	mkdir(t, filepath.Join(dir, "etc/dma"), 0o755, 0, 0)
	mkdir(t, filepath.Join(dir, "var/spool/dma"), 0o770, uid, gid)
	write(t, filepath.Join(dir, "etc/dma/dma.conf"), strings.Join(lines, "\n")+"\n")
	write(t, filepath.Join(dir, "etc/dma/auth.conf"), h.User+"|"+h.Host+":"+h.Password+"\n")
	write(t, filepath.Join(dir, "var/spool/dma/flush"), "")
	return func(args ...string) *exec.Cmd { return own(tree, "/usr/sbin/dma", append([]string{"-D"}, args...)...) }
}

// Nullmailer returns its injector as a Program, which queues, and its sender,
// which delivers for as long as somebody lets it run.
func Nullmailer(t testing.TB, dir string, h Smarthost) (inject, send Program) {
	t.Helper()
	tree := Debian(t, nullmailerPackages)
	own := ownSystem(t, dir)
	uid, gid := owner(t, "mail", "mail")
	queue, conf := filepath.Join(dir, "var/spool/nullmailer"), filepath.Join(dir, "etc/nullmailer")
	for _, d := range []string{"queue", "tmp", "failed"} {
		mkdir(t, filepath.Join(queue, d), 0o700, uid, gid) // nullmailer-queue is set-uid mail
	}
	mkdir(t, conf, 0o755, 0, 0)
	if err := exec.Command("mkfifo", filepath.Join(queue, "trigger")).Run(); err != nil {
		t.Fatalf("mkfifo: %v", err)
	}
	write(t, filepath.Join(conf, "remotes"), h.nullmailer()+"\n")
	for name, target := range map[string]string{"conf": conf, "queue": queue,
		"protocols": tree.Path("/usr/lib/nullmailer")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	inject = func(args ...string) *exec.Cmd {
		cmd := own(tree, "/usr/bin/nullmailer-inject", args...)
		cmd.Env = append(cmd.Env, "NULLMAILER_QUEUE="+tree.Path("/usr/sbin/nullmailer-queue"))
		return cmd
	}
	send = func(args ...string) *exec.Cmd {
		cmd := tree.Command("/usr/sbin/nullmailer-send", args...)
		cmd.Env = append(cmd.Env, "NULLMAILER_TEST_PREFIX="+dir)
		return cmd
	}
	return inject, send
}

// nullmailer is the line of its file remotes.
func (h Smarthost) nullmailer() string {
	how := "--starttls"
	if h.Implicit {
		how = "--tls"
	}
	return fmt.Sprintf("%s smtp --port=%s --user=%s --pass=%s --x509cafile=%s %s", h.Host, h.Port, h.User, h.Password,
		h.CAFile, how)
}

// ownSystem gives programs whose paths are compiled in an /etc and a /var of
// their own, dir/etc and dir/var, in a mount namespace that ends with the
// program. The machine itself does not change.
func ownSystem(t testing.TB, dir string) func(tree Tree, program string, args ...string) *exec.Cmd {
	t.Helper()
	NeedRoot(t, "a program with fixed paths needs a mount namespace")
	Need(t, "unshare", "mount")
	openUp(t, dir)
	mkdir(t, filepath.Join(dir, "etc"), 0o755, 0, 0)
	mkdir(t, filepath.Join(dir, "var"), 0o755, 0, 0)
	for _, name := range []string{"passwd", "group", "hosts", "nsswitch.conf", "services", "protocols", "ld.so.cache"} {
		if b, err := os.ReadFile(filepath.Join("/etc", name)); err == nil {
			write(t, filepath.Join(dir, "etc", name), string(b))
		}
	}
	uid, gid := owner(t, "mail", "mail") // the user that Exim was built for
	appendTo(t, filepath.Join(dir, "etc/passwd"), fmt.Sprintf("Debian-exim:x:%d:%d::/:/bin/false\n", uid, gid))
	appendTo(t, filepath.Join(dir, "etc/group"), fmt.Sprintf("Debian-exim:x:%d:\n", gid))
	write(t, filepath.Join(dir, "etc/mailname"), "satellite.example.org\n")
	const script = `mount --bind "$0/etc" /etc && mount --bind "$0/var" /var && exec "$@"`
	return func(tree Tree, program string, args ...string) *exec.Cmd {
		line := append([]string{"-m", "sh", "-c", script, dir, tree.Path(program)}, args...)
		cmd := exec.Command("unshare", line...)
		cmd.Env = tree.Env()
		return cmd
	}
}
