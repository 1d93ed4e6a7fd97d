package foreign

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A Program makes a command of itself with arguments.
type Program func(args ...string) *exec.Cmd

// Swaks is the Swiss Army Knife for SMTP.
func Swaks(t testing.TB) Program { return debianProgram(t, swaksPackages, "/usr/bin/swaks") }

// Msmtp is a sendmail-like client.
func Msmtp(t testing.TB) Program { return debianProgram(t, msmtpPackages, "/usr/bin/msmtp") }

// SNail is the heir of Heirloom mailx.
func SNail(t testing.TB) Program { return debianProgram(t, snailPackages, "/usr/bin/s-nail") }

// Curl is curl, the machine's own if it has one.
func Curl(t testing.TB) Program { return own(t, "curl", curlPackages, "/usr/bin/curl") }

// Strace is strace, the machine's own if it has one.
func Strace(t testing.TB) Program { return own(t, "strace", stracePackages, "/usr/bin/strace") }

// Python is Python 3, the machine's own if it has one.
func Python(t testing.TB) Program { return own(t, "python3", pythonPackages, "/usr/bin/python3.11") }

// Perl is the machine's perl with the modules by which Perl programs read mail.
func Perl(t testing.TB) Program {
	t.Helper()
	Need(t, "perl")
	tree := Debian(t, perlMailPackages)
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("perl", args...)
		cmd.Env = tree.Env()
		return cmd
	}
}

// OpenSSL is the openssl command, the machine's own if it has one.
func OpenSSL(t testing.TB) Program { return own(t, "openssl", opensslPackages, "/usr/bin/openssl") }

// PHP is the PHP command line.
func PHP(t testing.TB) Program { return debianProgram(t, phpPackages, "/usr/bin/php8.2") }

// Git is the machine's git with send-email and the modules it needs for TLS
// and AUTH.
func Git(t testing.TB) Program {
	t.Helper()
	Need(t, "git")
	tree := Debian(t, gitEmailPackages)
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("git", args...)
		cmd.Env = tree.Env()
		return cmd
	}
}

// TestSSL is testssl.sh, which judges the TLS of a server.
func TestSSL(t testing.TB) Program {
	t.Helper()
	tree := Debian(t, testsslPackages)
	return func(args ...string) *exec.Cmd {
		cmd := tree.Command("/usr/bin/testssl", args...)
		cmd.Env = append(cmd.Env, "TESTSSL_INSTALL_DIR="+tree.Path("/etc/testssl"), "CA_BUNDLES_PATH="+
			tree.Path("/etc/testssl"),
			"NO_ENGINE=true") // else it warns that openssl has no GOST
		return cmd
	}
}

// Promtool is the tool of Prometheus that checks rules and metrics.
func Promtool(t testing.TB) Program {
	return debianProgram(t, prometheusPackages, "/usr/bin/promtool")
}

// SMTPSource is the load generator that comes with Postfix.
func SMTPSource(t testing.TB) Program {
	return debianProgram(t, postfixPackages, "/usr/sbin/smtp-source")
}

// Nodemailer returns a Program that runs a script by Node.js, given with its
// arguments, in which require("nodemailer") works.
func Nodemailer(t testing.TB) Program {
	t.Helper()
	Need(t, "node", "npm")
	dir := entry(t, "npm-nodemailer", func(dir string) error {
		return run(dir, "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir,
			"nodemailer@10.6.0")
	})
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{"--liftoff-only"}, args...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
		return cmd
	}
}

// SMTPServer returns a Program that runs a script by Node.js in which
// require("smtp-server") works, that of Nodemailer.
func SMTPServer(t testing.TB) Program {
	t.Helper()
	Need(t, "node", "npm")
	dir := entry(t, "npm-smtp-server", func(dir string) error {
		return run(dir, "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir,
			"smtp-server@3.21.6")
	})
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{"--liftoff-only"}, args...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
		return cmd
	}
}

// Aiosmtpd returns a Program that runs a script by Python in which aiosmtpd is.
func Aiosmtpd(t testing.TB) Program {
	t.Helper()
	python := Python(t)
	tree := Debian(t, aiosmtpdPackages)
	return func(args ...string) *exec.Cmd {
		cmd := python(args...)
		cmd.Env = append(cmd.Environ(), "PYTHONPATH="+tree.Path("/usr/lib/python3/dist-packages"))
		return cmd
	}
}

// Mailparser returns a Program that runs a script by Node.js in which
// require("mailparser") works.
func Mailparser(t testing.TB) Program {
	t.Helper()
	Need(t, "node", "npm")
	dir := entry(t, "npm-mailparser", func(dir string) error {
		return run(dir, "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir,
			"mailparser@3.9.0")
	})
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", args...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
		return cmd
	}
}

// MIMETools is the machine's perl with MIME::Parser.
func MIMETools(t testing.TB) Program { return perlWith(t, mimeToolsPackages) }

// EmailSimple is the machine's perl with Email::Simple.
func EmailSimple(t testing.TB) Program { return perlWith(t, emailSimplePackages) }

func perlWith(t testing.TB, packages []string) Program {
	t.Helper()
	Need(t, "perl")
	tree := Debian(t, packages)
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("perl", args...)
		cmd.Env = tree.Env()
		return cmd
	}
}

// GoProgram builds a program of one file, in a module of its own that needs a
// library which this one has no use for, and returns it.
func GoProgram(t testing.TB, source, library string) Program {
	t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	dir := entry(t, fmt.Sprintf("go-%x", sha256.Sum256([]byte(library+string(text))))[:16], func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "main.go"), text, 0o644); err != nil {
			return err
		}
		for _, args := range [][]string{{"mod", "init", "judge"}, {"get", library}, {"build", "-o", "judge", "."}} {
			if err := run(dir, "go", args...); err != nil {
				return err
			}
		}
		return nil
	})
	return func(args ...string) *exec.Cmd { return exec.Command(filepath.Join(dir, "judge"), args...) }
}

// Playwright returns a Program that runs a script by Node.js, in which
// require("playwright-core") and require("axe-core") work.
func Playwright(t testing.TB) Program {
	t.Helper()
	Need(t, "node", "npm")
	dir := entry(t, "npm-playwright", func(dir string) error {
		return run(dir, "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir,
			"playwright-core@1.65.1", "axe-core@4.14.1")
	})
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{"--liftoff-only"}, args...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
		return cmd
	}
}

// PowerShellGrammar returns a Program that runs a script by Node.js in which
// require("web-tree-sitter") and the grammar of PowerShell are to be had. The
// grammar is compiled quickly and not well: Node.js waits at its end for a good
// compilation, which takes a hundred times as long as reading the scripts.
func PowerShellGrammar(t testing.TB) Program {
	t.Helper()
	Need(t, "node", "npm")
	dir := entry(t, "npm-powershell-grammar", func(dir string) error {
		return run(dir, "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir,
			"web-tree-sitter@0.25.10", "tree-sitter-powershell@0.26.4")
	})
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{"--liftoff-only"}, args...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
		return cmd
	}
}

// Chromium is the path of the machine's Chromium: it is too large for a cache,
// and apt-get install chromium brings it.
func Chromium(t testing.TB) string {
	t.Helper()
	Need(t, "chromium")
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ShellCheck judges shell scripts.
func ShellCheck(t testing.TB) Program {
	return debianProgram(t, shellcheckPackages, "/usr/bin/shellcheck")
}

func own(t testing.TB, name string, packages []string, path string) Program {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		return debianProgram(t, packages, path)
	}
	return func(args ...string) *exec.Cmd { return exec.Command(name, args...) }
}

func debianProgram(t testing.TB, packages []string, path string) Program {
	t.Helper()
	tree := Debian(t, packages)
	if _, err := os.Stat(tree.Path(path)); err != nil {
		t.Fatalf("package %s has no %s", packages[0], path)
	}
	return func(args ...string) *exec.Cmd { return tree.Command(path, args...) }
}
