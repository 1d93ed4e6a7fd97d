package foreign

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tree is a folder of unpacked Debian packages.
type Tree struct{ Root string }

// A program's packages: its own first, then the libraries that a small machine
// may lack. Libraries that the machine has are not fetched.
var (
	postfixPackages = []string{"postfix", "libdb5.3", "libicu72", "libnsl2", "libtirpc3", "libtirpc-common",
		"libsasl2-2", "libsasl2-modules", "libssl3"}
	swaksPackages = append([]string{"swaks", "libnet-ssleay-perl", "perl-openssl-defaults", "libssl3"},
		perlPackages...)
	msmtpPackages = []string{"msmtp", "libgsasl18", "libgssglue1", "libidn12", "libntlm0", "libsecret-1-0",
		"libglib2.0-0", "libgnutls30"}
	snailPackages = []string{"s-nail", "libidn2-0", "libssl3", "libgssapi-krb5-2"}
	curlPackages  = []string{"curl", "libcurl4", "libnghttp2-14", "librtmp1", "libssh2-1", "libpsl5",
		"libldap-2.5-0", "libbrotli1", "libsasl2-2"}
	pythonPackages = []string{"python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
		"libexpat1", "libssl3"}
	aiosmtpdPackages = []string{"python3-aiosmtpd", "python3-attr", "python3-public", "python3-pkg-resources",
		"python3-typing-extensions"}
	stracePackages = []string{"strace", "libunwind8"}
	eximPackages   = []string{"exim4-daemon-light", "libdb5.3", "libgnutls-dane0", "libgnutls30", "libidn12",
		"libidn2-0", "libnsl2", "libtirpc3", "libpcre2-8-0", "libunbound8", "libevent-2.1-7", "libnghttp2-14",
		"libprotobuf-c1", "libhogweed6", "libnettle8"}
	nullmailerPackages = []string{"nullmailer", "libgnutls30", "libstdc++6"}
	dmaPackages        = []string{"dma", "libssl3"}
	phpPackages        = []string{"php8.2-cli", "php8.2-common", "libedit2", "libbsd0", "libmd0", "libmagic1",
		"libmagic-mgc", "libargon2-1", "libpcre2-8-0", "libsodium23", "libssl3", "libxml2", "libicu72", "zlib1g"}
	gitEmailPackages = append([]string{"git-email", "libnet-smtp-ssl-perl", "libio-socket-ssl-perl",
		"libnet-ssleay-perl", "perl-openssl-defaults", "libauthen-sasl-perl", "libmailtools-perl", "libtimedate-perl",
		"libssl3"}, perlPackages...)
	perlMailPackages = append([]string{"libmail-box-perl", "libmail-message-perl", "libmail-transport-perl",
		"libemail-address-perl", "libmailtools-perl", "libdevel-globaldestruction-perl", "libfile-remove-perl",
		"libio-stringy-perl", "libobject-realize-later-perl", "libmime-types-perl", "libtimedate-perl", "liburi-perl",
		"libuser-identity-perl", "libsub-exporter-progressive-perl"}, perlPackages...)
	emailSimplePackages = append([]string{"libemail-simple-perl", "libemail-date-format-perl"}, perlPackages...)
	shellcheckPackages  = []string{"shellcheck"}
	opensslPackages     = []string{"openssl", "libssl3"}
	testsslPackages     = []string{"testssl.sh", "openssl", "libssl3", "bsdextrautils", "procps", "libproc2-0",
		"ldnsutils", "libldns3", "libpcap0.8"}
	prometheusPackages = []string{"prometheus"}
	mimeToolsPackages  = append([]string{"libmime-tools-perl", "libmailtools-perl", "libio-stringy-perl",
		"libconvert-binhex-perl", "libtimedate-perl"}, perlPackages...)
	perlPackages = []string{"perl", "perl-modules-5.36", "libperl5.36", "libgdbm6", "libgdbm-compat4", "libdb5.3"}
)

// Debian unpacks packages into one tree and returns it.
func Debian(t testing.TB, packages []string) Tree {
	t.Helper()
	if _, err := exec.LookPath("dpkg"); err != nil {
		LeaveOut(t, "%s: this machine has no dpkg", packages[0])
	}
	return Tree{entry(t, treeName(packages), func(dir string) error {
		return unpack(t, dir, packages)
	})}
}

// treeName tells apart the trees of different lists: a longer one is fetched anew.
func treeName(packages []string) string {
	sum := sha256.Sum256([]byte(strings.Join(packages, " ")))
	return fmt.Sprintf("deb-%s-%x", packages[0], sum[:4])
}

func unpack(t testing.TB, dir string, packages []string) error {
	wanted := packages[:1:1]
	for _, lib := range packages[1:] {
		if !installed(lib) {
			wanted = append(wanted, lib)
		}
	}
	if err := download(t, dir, wanted); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := run(dir, "dpkg", "-x", f, dir); err != nil {
			return err
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// download asks apt with the machine's package lists, and if that fails with
// fresh lists of its own in the cache: that needs no root and changes nothing.
func download(t testing.TB, dir string, packages []string) error {
	first := run(dir, "apt-get", append([]string{"-q", "download"}, packages...)...)
	if first == nil {
		return nil
	}
	own := filepath.Join(CacheDir(t), "apt")
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(own, d), 0o755); err != nil {
			return err
		}
	}
	options := []string{"-q", "-o", "Dir::State::lists=" + own + "/state/lists", "-o", "Dir::Cache=" + own + "/cache"}
	if err := run(dir, "apt-get", append(options, "update")...); err != nil {
		return fmt.Errorf("%w; before that: %w", err, first)
	}
	return run(dir, "apt-get", append(append(options, "download"), packages...)...)
}

func installed(pkg string) bool {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", pkg).Output()
	return err == nil && strings.HasPrefix(string(out), "ii")
}

// Path returns a file of the tree by its path on an installed system.
func (tr Tree) Path(p string) string { return filepath.Join(tr.Root, p) }

// Env returns the environment in which the tree's programs find one another,
// their libraries and their modules.
func (tr Tree) Env() []string {
	perl := []string{"/etc/perl", "/usr/lib/x86_64-linux-gnu/perl/5.36", "/usr/lib/x86_64-linux-gnu/perl5/5.36",
		"/usr/lib/x86_64-linux-gnu/perl-base", "/usr/share/perl/5.36", "/usr/share/perl5"}
	return append(os.Environ(),
		"PATH="+tr.join("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/git-core")+":"+os.Getenv("PATH"),
		"LD_LIBRARY_PATH="+tr.Libraries(),
		"SASL_PATH="+tr.SASL(),
		"PERL5LIB="+tr.join(perl...),
		"LC_ALL=C.UTF-8",
	)
}

// Libraries is the tree's LD_LIBRARY_PATH.
func (tr Tree) Libraries() string {
	return tr.join("/usr/lib/postfix", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu",
		"/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu")
}

// SASL is where libsasl2 finds its plug-ins: the tree's or the machine's.
func (tr Tree) SASL() string {
	dirs := []string{"/usr/lib/x86_64-linux-gnu/sasl2", "/usr/lib/aarch64-linux-gnu/sasl2"}
	return tr.join(dirs...) + ":" + strings.Join(dirs, ":")
}

func (tr Tree) join(paths ...string) string {
	var all []string
	for _, p := range paths {
		all = append(all, tr.Path(p))
	}
	return strings.Join(all, ":")
}

// Command makes a command of one of the tree's programs, given by its path.
func (tr Tree) Command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(tr.Path(program), args...)
	cmd.Env = tr.Env()
	return cmd
}
