package harness

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Tap is a proxy between an SMTP client and the relay that notes what the
// client says: what a program really sent, whatever it was told to send.
type Tap struct {
	Addr string // where the client connects

	mu    sync.Mutex
	talks []*bytes.Buffer
}

// NewTap listens on loopback and passes everything on to addr.
func NewTap(t testing.TB, addr string) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tap := &Tap{Addr: l.Addr().String()}
	go tap.serve(l, addr)
	return tap
}

func (tap *Tap) serve(l net.Listener, addr string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", addr)
		if err != nil {
			client.Close()
			continue
		}
		go tap.pass(client, server)
	}
}

func (tap *Tap) pass(client, server net.Conn) {
	said := new(bytes.Buffer)
	tap.mu.Lock()
	tap.talks = append(tap.talks, said)
	tap.mu.Unlock()
	go func() {
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	_, _ = io.Copy(io.MultiWriter(server, &locked{tap, said}), client)
	server.Close()
}

// locked writes to a talk under the tap's lock.
type locked struct {
	tap *Tap
	b   *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	return l.b.Write(p)
}

// Sent returns the messages that clients have sent in whole so far.
func (tap *Tap) Sent() []Sent {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	var all []Sent
	for _, talk := range tap.talks {
		all = append(all, ReadTalk(talk.String())...)
	}
	return all
}

var pathArgument = regexp.MustCompile(`(?i)^(MAIL FROM|RCPT TO): ?<([^>]*)>`)

// ReadTalk finds the messages in what a client said, taking for granted that
// every command was accepted.
func ReadTalk(talk string) []Sent {
	var all []Sent
	var now Sent
	for talk != "" {
		line, rest, whole := strings.Cut(talk, "\r\n")
		if !whole {
			break
		}
		verb, argument, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "MAIL":
			now = Sent{From: path(line)}
		case "RCPT":
			now.To = append(now.To, path(line))
		case "RSET", "EHLO", "HELO":
			now = Sent{}
		case "DATA", "BDAT":
			var last bool
			now.Data, rest, last = content(now.Data, verb, argument, rest)
			if last {
				all = append(all, now)
				now = Sent{}
			}
		}
		talk = rest
	}
	return all
}

func path(line string) string {
	if m := pathArgument.FindStringSubmatch(line); m != nil {
		return m[2]
	}
	return ""
}

// content takes the message after DATA, or one chunk of BDAT, off the talk.
func content(sofar, verb, argument, talk string) (data, rest string, last bool) {
	if verb == "BDAT" {
		size, flag, _ := strings.Cut(argument, " ")
		n, err := strconv.Atoi(size)
		if err != nil || n > len(talk) {
			return sofar, "", false
		}
		return sofar + talk[:n], talk[n:], strings.EqualFold(flag, "LAST")
	}
	raw, rest, whole := strings.Cut("\r\n"+talk, "\r\n.\r\n")
	if !whole {
		return "", "", false
	}
	return strings.ReplaceAll(raw+"\r\n", "\r\n.", "\r\n")[2:], rest, true
}
