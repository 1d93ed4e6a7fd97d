package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"graphrelay/config"
)

// passwd runs the command on an input.
func passwd(ctx context.Context, in io.Reader) (stdout, stderr string, err error) {
	var out, prompts bytes.Buffer
	cmd := newPasswd()
	cmd.SetArgs(nil)
	cmd.SetIn(in)
	cmd.SetOut(&out)
	cmd.SetErr(&prompts)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(ctx)
	return out.String(), prompts.String(), err
}

func isHashOf(line, password string) bool {
	hash, ok := strings.CutSuffix(line, "\n")
	return ok && !strings.Contains(hash, "\n") && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

func TestPasswdReadsTheFirstLine(t *testing.T) {
	for in, password := range map[string]string{
		"secret":                         "secret",
		"secret\nignored\n":              "secret",
		"secret with blanks \r\n":        "secret with blanks ",
		strings.Repeat("x", 72) + "\n":   strings.Repeat("x", 72),
		"p\u00e4ssw\u00f6rd \u20ac\nx\n": "p\u00e4ssw\u00f6rd \u20ac",
	} {
		stdout, _, err := passwd(t.Context(), strings.NewReader(in))
		if err != nil || !isHashOf(stdout, password) {
			t.Errorf("%q: %q, %v", in, stdout, err)
		}
	}
}

func TestPasswdRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "empty",
		"\nsecret":              "empty",
		strings.Repeat("x", 73): "73 bytes",
		"a\x00b":                "control character",
	} {
		stdout, _, err := passwd(t.Context(), strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), want) || stdout != "" {
			t.Errorf("%q: %q, %v; want %q", in, stdout, err, want)
		}
	}
}

// What passwd prints is what the configuration takes.
func TestPasswdFitsTheConfiguration(t *testing.T) {
	stdout, _, err := passwd(t.Context(), strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/config.yaml"
	text := fmt.Sprintf(`identities: [{tenant_id: 11111111-1111-1111-1111-111111111111,
  client_id: 22222222-2222-2222-2222-222222222222,
  certificate_file: x.pem}]
senders: [{address: a@contoso.com}]
clients: [{name: scanner, username: scanner, password_hash: "%s"}]
smtp: {listeners: [{address: 127.0.0.1:25, auth: required, plaintext_auth: [127.0.0.0/8]}]}
`, strings.TrimSpace(stdout))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file); err != nil {
		t.Error(err)
	}
}

// pseudoTerminal returns both ends of a terminal: what the user sees and types,
// and what the program has.
func pseudoTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

func TestPasswdAsksTwiceOnATerminal(t *testing.T) {
	for typed, want := range map[string]string{"secret\nsecret\n": "", "secret\nsecreT\n": "differ"} {
		user, program := pseudoTerminal(t)
		if _, err := user.WriteString(typed); err != nil { // ahead of the prompts
			t.Fatal(err)
		}
		stdout, prompts, err := passwd(t.Context(), program)
		switch {
		case want == "" && (err != nil || !isHashOf(stdout, "secret")):
			t.Errorf("%q, %v", stdout, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || stdout != ""):
			t.Errorf("%q, %v; want %q", stdout, err, want)
		}
		if prompts != "Password: \nRepeat it: \n" {
			t.Errorf("prompts %q", prompts)
		}
	}
}

func echoes(f *os.File) bool {
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err != nil || s.Lflag&unix.ECHO != 0
}

func waitForNoEcho(f *os.File) {
	for echoes(f) {
		time.Sleep(time.Millisecond)
	}
}

// Ctrl-C must not leave a terminal that shows nothing.
func TestPasswdInterrupted(t *testing.T) {
	_, program := pseudoTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waitForNoEcho(program)
		cancel()
	}()
	if _, _, err := passwd(ctx, program); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Error(err)
	}
	if !echoes(program) {
		t.Error("the terminal stays silent")
	}
}
