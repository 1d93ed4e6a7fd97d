//go:build system

package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// apt installs from a repository of static files as the README says, with a key that
// was made for it; and nothing from one that somebody else has changed.
func TestAPTRepository(t *testing.T) {
	t.Parallel()
	foreign.NeedRoot(t, "a machine is booted")
	foreign.Need(t, "scdoc", "debootstrap", "systemd-nspawn", "nsenter", "apt-ftparchive", "gpg")
	dist := packer(t)("v1.0.0", "packages")
	m := boot(t)
	repository := filepath.Join(m.root, "/srv/apt")
	sign := signer(t, dist, repository)
	sign()
	m.run("install", "-D", "/srv/apt/graphrelay.asc", "/etc/apt/keyrings/graphrelay.asc")
	m.write("/etc/apt/sources.list", "deb [signed-by=/etc/apt/keyrings/graphrelay.asc] file:/srv/apt stable main\n",
		0o644)

	packages := filepath.Join(repository, "dists/stable/main/binary-amd64/Packages")
	good := m.read("/srv/apt/dists/stable/main/binary-amd64/Packages")
	harness.WriteFile(t, packages, strings.Replace(good, "Version: 1.0.0", "Version: 9.9.9", 1))
	if err := os.Remove(packages + ".gz"); err != nil {
		t.Fatal(err)
	}
	if out, err := m.try("apt-get", "update", "-o", "APT::Update::Error-Mode=any"); err == nil {
		t.Errorf("a changed repository is read: %s", out)
	}
	sign()
	m.run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
	m.run("apt-get", "install", "-y", "--no-install-recommends", "graphrelay")
	if got := m.run("graphrelay", "version"); !strings.Contains(got, "1.0.0") {
		t.Errorf("apt has installed %s", got)
	}
	m.configure()
	m.start()
	m.send()
	m.arrived()
}

// signer makes a key, and returns what makes a repository of the packages of a folder
// with it.
func signer(t *testing.T, dist, repository string) (sign func()) {
	t.Helper()
	home := t.TempDir()
	run := func(command ...string) {
		t.Helper()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
	run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "Jane Doe <jane@example.org>", "ed25519", "sign")
	t.Cleanup(func() { run("gpgconf", "--kill", "gpg-agent") })
	return func() {
		t.Helper()
		run(filepath.Join(harness.ModuleDir(t), "packaging/apt"), dist, repository, "jane@example.org")
	}
}
