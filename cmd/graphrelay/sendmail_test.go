package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"graphrelay/relay/sendmail"
)

// TestSendmail runs testdata/sendmail as cron, PHP and the others would, against
// a server that writes down what it hears. Beyond the commands of TestScripts:
// `server SOCKET FILE [LINE=REPLY...]` starts that server; REPLY answers a
// command that begins with LINE, "." the message.
func TestSendmail(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/sendmail",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir) // for dead.letter
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"server": smtpServer,
		},
	})
}

func smtpServer(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	s := &recorder{file: ts.MkAbs(args[1]), replies: args[2:]}
	ts.Defer(func() { _ = l.Close(); s.all.Wait() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() { s.talk(nc) })
		}
	}()
}

// recorder is an SMTP server that takes everything but what replies refuse.
type recorder struct {
	file    string
	replies []string
	mu      sync.Mutex
	all     sync.WaitGroup
}

func (s *recorder) talk(nc net.Conn) {
	defer nc.Close()
	fmt.Fprint(nc, s.reply("connect", "220 test"), "\r\n")
	in := bufio.NewReader(nc)
	for data := false; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		s.write(line)
		line = strings.TrimSuffix(line, "\r\n")
		switch {
		case data && line != ".":
		case line == "DATA":
			data = true
			fmt.Fprint(nc, "354 go on\r\n")
		default:
			data = false
			fmt.Fprint(nc, s.reply(line, "250 2.0.0 taken"), "\r\n")
		}
	}
}

func (s *recorder) reply(line, fallback string) string {
	for _, r := range s.replies {
		if prefix, reply, _ := strings.Cut(r, "="); strings.HasPrefix(line, prefix) {
			return reply
		}
	}
	return fallback
}

// write happens before the reply, so that a script that saw sendmail end can read it.
func (s *recorder) write(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(s.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprint(f, strings.ReplaceAll(line, "\r\n", "\n"))
}

func TestCommandLine(t *testing.T) {
	for in, want := range map[string]string{
		"graphrelay serve -c x":     "serve -c x",
		"/usr/sbin/sendmail -t -i":  "sendmail -t -i",
		"mailq":                     "sendmail -bp",
		"/usr/bin/newaliases -v":    "sendmail -bi -v",
		"./graphrelay sendmail -bs": "sendmail -bs",
	} {
		if got := strings.Join(commandLine(strings.Fields(in)), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if commandLine(nil) != nil {
		t.Error("no argv at all")
	}
}

func TestParseConf(t *testing.T) {
	for text, want := range map[string]server{
		"":                                  defaultServer,
		"# nothing\n\n":                     defaultServer,
		"submit: unix:/run/x.sock\n":        {"unix", "/run/x.sock"},
		"submit: 'unix:/run/x.sock'":        {"unix", "/run/x.sock"},
		" submit:\t10.0.0.1:25 # relay\r\n": {"tcp", "10.0.0.1:25"},
		"submit: \"[::1]:25\"":              {"tcp", "[::1]:25"},
		"submit: relay.example.org:587":     {"tcp", "relay.example.org:587"},
	} {
		if got, err := parseConf("sendmail.conf", text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"# x\nsubmitt: unix:/x":        `sendmail.conf:2: "submitt" is not a key`,
		"unix:/x":                      `sendmail.conf:1: "unix" is not a key`,
		"submit":                       `"submit" is not a key`,
		"submit: unix:/x\nsubmit: a:1": "sendmail.conf:2: submit is repeated",
		"submit:":                      "write unix:/PATH or HOST:PORT",
		"submit: unix:x":               "not an address",
		"submit: unix:":                "not an address",
		"submit: host":                 "not an address",
		"submit: :25":                  "not an address",
		"submit: host:0":               "not an address",
		"submit: host:99999":           "not an address",
		"submit: host:smtp":            "not an address",
		"submit: a b:1":                "not an address",
		"submit: unix:/a\x00b":         "not an address",
	} {
		_, err := parseConf("sendmail.conf", text)
		var conf confError
		if !errors.As(err, &conf) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestServerIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sendmail.conf")
	s := &submission{conf: file}
	t.Setenv("GRAPHRELAY_SUBMIT", "")
	if got, err := s.server(); err != nil || got != defaultServer {
		t.Errorf("without a file: %v, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("submit: a:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.server(); err != nil || got.address != "a:1" {
		t.Errorf("from the file: %v, %v", got, err)
	}
	t.Setenv("GRAPHRELAY_SUBMIT", "b:2")
	if got, err := s.server(); err != nil || got.address != "b:2" {
		t.Errorf("from the environment: %v, %v", got, err)
	}
}

// A file that cannot be used costs no mail: the message goes to the socket of this
// host, and a warning says what to do.
func TestUnusableConfCountsAsAbsent(t *testing.T) {
	t.Setenv("GRAPHRELAY_SUBMIT", "")
	wrong := filepath.Join(t.TempDir(), "sendmail.conf")
	if err := os.WriteFile(wrong, []byte("submitt: a:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for conf, want := range map[string]string{
		t.TempDir(): "run as root: chmod 644 ", // a folder, which cannot be read
		wrong:       `sendmail.conf:1: "submitt" is not a key of this file`,
	} {
		var log strings.Builder
		s := &submission{conf: conf, log: &log}
		if got, err := s.server(); err != nil || got != defaultServer {
			t.Errorf("%s: %v, %v", conf, got, err)
		}
		if !strings.HasPrefix(log.String(), "sendmail: warning: ") || !strings.Contains(log.String(), want) ||
			!strings.HasSuffix(log.String(), "; until then the message goes to unix:/run/graphrelay/submit.sock\n") {
			t.Errorf("%s: %q, want %q", conf, log.String(), want)
		}
	}
}

func FuzzParseConf(f *testing.F) {
	for _, s := range []string{"submit: unix:/x", "submit: a:1 # c", "x", "submit: \"", "submit: [::1]:25\r\n#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := parseConf("x", s)
		if err == nil && to.network != "tcp" && to.network != "unix" {
			t.Fatalf("%q: %v", s, to)
		}
	})
}

// HOME of somebody else, as sudo may leave it, is no place for root's mail.
func TestHomeMustBeOwn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for home, own := range map[string]bool{dir: true, file: false, "": false, ".": false, "/nonexistent": false} {
		if got := ownDir(home); got != own {
			t.Errorf("ownDir(%q) = %v", home, got)
		}
		t.Setenv("HOME", home)
		s := newSubmission(sendmail.Args{}, nil, nil, nil)
		if got := s.home == home && home != ""; got != own {
			t.Errorf("HOME=%q: dead.letter goes to %q", home, s.home)
		}
	}
}
