package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"graphrelay/relay/admin"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"graphrelay": main, "sendmail": main, "mailq": main, "newaliases": main})
}

// TestScripts runs the command lines of testdata as an administrator would.
// Beyond testscript's own commands: `exits CODE PROGRAM ARG...`; `freeports
// NAME...` sets each to a free port; `expand FILE` replaces $NAME in it;
// `waitfor ADDRESS` waits until a unix socket or a port answers; `waitsent N`
// until N messages are sent; `waitstatus PATTERN` until status prints it; `showfirst` runs queue show on the first sent
// one;
// `submit SERVER FROM TO FILE` hands a message over by SMTP as it is; `setids
// NAME...` sets each to a queue ID, in order; `waitstate STATE N TRIES` waits
// until N messages are in a state after at least so many attempts.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"waitfor":    waitFor,
			"waitsent":   waitSent,
			"waitstatus": waitStatus,
			"showfirst":  showFirst,
			"submit":     submit,
			"refused":    refused,
			"setids":     setIDs,
			"waitstate":  waitState,
			"expand": func(ts *testscript.TestScript, _ bool, files []string) {
				for _, f := range files {
					path := ts.MkAbs(f)
					ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(f), ts.Getenv)), 0o600))
				}
			},
			"freeports": func(ts *testscript.TestScript, _ bool, names []string) {
				for _, name := range names {
					ts.Setenv(name, freePort(ts))
				}
			},
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	network, address := "unix", ts.MkAbs(args[0])
	if _, _, err := net.SplitHostPort(args[0]); err == nil {
		network, address = "tcp", args[0]
	}
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%s does not answer: %v", args[0], err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sent lists the queue IDs of what the relay of config.yaml has sent.
func sent(ts *testscript.TestScript) []string {
	ts.Check(ts.Exec("graphrelay", "queue", "list", "-c", "config.yaml", "--state", "sent", "--json"))
	var list []admin.Message
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	var ids []string
	for _, m := range list {
		ids = append(ids, m.QueueID)
	}
	return ids
}

func waitSent(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for end := time.Now().Add(30 * time.Second); len(sent(ts)) < want; {
		if time.Now().After(end) {
			ts.Fatalf("%d sent, want %d", len(sent(ts)), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// waitStatus waits until what status prints matches.
func waitStatus(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec("graphrelay", "status", "-c", "config.yaml"))
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("status does not say %q:\n%s", args[0], ts.ReadFile("stdout"))
		}
	}
}

func showFirst(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Exec("graphrelay", "queue", "show", "-c", "config.yaml", sent(ts)[0]))
}

func submit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: submit SERVER FROM TO FILE")
	}
	ts.Check(sendMail(ts, args))
}

// refused is submit of mail that is refused with this enhanced status code.
func refused(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 5 {
		ts.Fatalf("usage: refused STATUS SERVER FROM TO FILE")
	}
	if err := sendMail(ts, args[1:]); err == nil || !strings.Contains(err.Error(), args[0]) {
		ts.Fatalf("answered %v, want %s", err, args[0])
	}
}

func sendMail(ts *testscript.TestScript, args []string) error {
	text := strings.NewReplacer("\n", "\r\n", `\e`, "\x1b", `\bidi`, "\u202e", `\t`, "\t").Replace(ts.ReadFile(args[3]))
	return smtp.SendMail(args[0], nil, args[1], strings.Split(args[2], ","), []byte(text))
}

// listed is what queue list of config.yaml says.
func listed(ts *testscript.TestScript, flags ...string) (list []admin.Message) {
	ts.Check(ts.Exec("graphrelay", append([]string{"queue", "list", "-c", "config.yaml", "--json"}, flags...)...))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	return list
}

func setIDs(ts *testscript.TestScript, _ bool, names []string) {
	list := listed(ts)
	if len(list) != len(names) {
		ts.Fatalf("%d messages, want %d", len(list), len(names))
	}
	for i, name := range names {
		ts.Setenv(name, list[i].QueueID)
	}
}

func waitState(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	tries, err := strconv.Atoi(args[2])
	ts.Check(err)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		tried := 0
		for _, m := range listed(ts, "--state", args[0]) {
			if m.Attempts >= tries {
				tried++
			}
		}
		if tried == want {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%d are %s, want %d", tried, args[0], want)
		}
	}
}

func freePort(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	return port
}
