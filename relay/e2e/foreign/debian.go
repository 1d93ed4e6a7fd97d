package foreign

import (
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
	postfixPackages = []string{"postfix", "libdb5.3", "libicu72", "libnsl2", "libtirpc3", "libtirpc-common", "libsasl2-2", "libssl3"}
	swaksPackages   = []string{"swaks", "perl", "perl-modules-5.36", "libperl5.36", "libgdbm6", "libgdbm-compat4", "libdb5.3"}
	msmtpPackages   = []string{"msmtp", "libgsasl18", "libgssglue1", "libidn12", "libntlm0", "libsecret-1-0", "libglib2.0-0", "libgnutls30"}
	snailPackages   = []string{"s-nail", "libidn2-0", "libssl3", "libgssapi-krb5-2"}
	curlPackages    = []string{"curl", "libcurl4", "libnghttp2-14", "librtmp1", "libssh2-1", "libpsl5", "libldap-2.5-0", "libbrotli1", "libsasl2-2"}
	pythonPackages  = []string{"python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "libssl3"}
	stracePackages  = []string{"strace", "libunwind8"}
)

// Debian unpacks packages into one tree and returns it.
func Debian(t testing.TB, packages []string) Tree {
	t.Helper()
	if _, err := exec.LookPath("dpkg"); err != nil {
		LeaveOut(t, "%s: this machine has no dpkg", packages[0])
	}
	return Tree{entry(t, "deb-"+packages[0], func(dir string) error {
		return unpack(t, dir, packages)
	})}
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
	perl := []string{"/etc/perl", "/usr/lib/x86_64-linux-gnu/perl/5.36", "/usr/share/perl/5.36", "/usr/share/perl5"}
	return append(os.Environ(),
		"PATH="+tr.join("/usr/sbin", "/usr/bin", "/sbin", "/bin")+":"+os.Getenv("PATH"),
		"LD_LIBRARY_PATH="+tr.Libraries(),
		"PERL5LIB="+tr.join(perl...),
		"LC_ALL=C.UTF-8",
	)
}

// Libraries is the tree's LD_LIBRARY_PATH.
func (tr Tree) Libraries() string {
	return tr.join("/usr/lib/postfix", "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu")
}

func (tr Tree) join(paths ...string) string {
	for i, p := range paths {
		paths[i] = tr.Path(p)
	}
	return strings.Join(paths, ":")
}

// Command makes a command of one of the tree's programs, given by its path.
func (tr Tree) Command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(tr.Path(program), args...)
	cmd.Env = tr.Env()
	return cmd
}
