//go:build system

package system

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

const (
	maintainer = "Jane O'Hara <jane@example.org>"
	homepage   = "https://graphrelay.example.org"
)

func TestPackage(t *testing.T) {
	t.Parallel()
	foreign.NeedRoot(t, "a machine is booted")
	foreign.Need(t, "scdoc", "lintian", "rpm", "apparmor_parser", "debootstrap", "systemd-nspawn", "nsenter")
	pack := packer(t)
	older := pack("v1.0.0", "packages")
	t.Run("without a complaint of lintian", func(t *testing.T) {
		t.Parallel()
		host(t, "lintian", "--allow-root", "--fail-on", "error,warning", one(t, older, "*.deb"))
	})
	t.Run("with its maintainer, homepage and a manual without dead links", func(t *testing.T) {
		t.Parallel()
		file := one(t, older, "*.deb")
		fields := host(t, "dpkg-deb", "--field", file, "Maintainer", "Homepage")
		if want := "Maintainer: " + maintainer + "\nHomepage: " + homepage; strings.TrimSpace(fields) != want {
			t.Errorf("%s, want %s", fields, want)
		}
		manualIsWhole(t, file)
	})
	t.Run("with a profile that AppArmor reads", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		host(t, "dpkg-deb", "--extract", one(t, older, "*.deb"), dir)
		names := host(t, "apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names",
			filepath.Join(dir, "etc/apparmor.d/graphrelay"))
		if names != "graphrelay\n" {
			t.Errorf("the profiles are %q", names)
		}
	})
	t.Run("whole for rpm", func(t *testing.T) {
		t.Parallel()
		file := one(t, older, "*.rpm")
		host(t, "rpm", "--checksig", "--nosignature", file)
		if list := host(t, "rpm", "--query", "--list", "--package", file); !strings.Contains(list,
			"/usr/bin/graphrelay\n") {
			t.Errorf("the package holds\n%s", list)
		}
	})
	again := pack("v1.0.0", "packages")
	for _, pattern := range []string{"*.deb", "*.rpm", "*.cdx.json"} {
		same(t, one(t, older, pattern), one(t, again, pattern))
	}
	newer := pack("v1.0.1", "packages")
	t.Run("on a booted Debian", func(t *testing.T) {
		t.Parallel()
		onABootedDebian(t, one(t, older, "*.deb"), one(t, newer, "*.deb"), one(t, newer, "*.rpm"))
	})
}

// manualIsWhole fails where a page of the packaged manual points at a file, or shows
// a picture, that is not beside it.
func manualIsWhole(t *testing.T, deb string) {
	t.Helper()
	dir := t.TempDir()
	host(t, "dpkg-deb", "--extract", deb, dir)
	manual := filepath.Join(dir, "usr", "share", "doc", "graphrelay")
	pages, _ := filepath.Glob(filepath.Join(manual, "*.md"))
	seen := map[string]bool{}
	for _, page := range pages {
		seen[filepath.Base(page)] = true
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^):#]+)[^):]*\)`).FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(manual, link[1])); err != nil {
				t.Errorf("%s: %v", filepath.Base(page), err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(manual, "changelog.gz")); err != nil || !seen["console.md"] {
		t.Errorf("the manual is %v, and the changes: %v", seen, err)
	}
}

// packer returns what builds a version into a folder.
func packer(t *testing.T) func(version, makes string) (dir string) {
	t.Helper()
	root := harness.ModuleDir(t)
	program := filepath.Join(t.TempDir(), "pack")
	run := func(command ...string) {
		t.Helper()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = filepath.Join(root, "packaging", "pack")
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
	run("go", "build", "-o", program, ".")
	return func(version, makes string) string {
		t.Helper()
		dir := t.TempDir()
		run(program, "-root", root, "-out", dir, "-make", makes, "-version", version, "-arch", "amd64",
			"-maintainer", maintainer, "-homepage", homepage)
		return dir
	}
}

// one is the only file of a folder by a pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	list, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(list) != 1 {
		t.Fatalf("%s: %q, want one", pattern, list)
	}
	return list[0]
}

// same fails where the same source has made other bytes.
func same(t *testing.T, a, b string) {
	t.Helper()
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		t.Errorf("%s was made twice and differs (%v, %v)", filepath.Base(a), errX, errY)
	}
}
