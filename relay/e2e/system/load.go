package system

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/e2e/harness"
)

// load sends over connections that dial opens, and judges what becomes of them.
type load struct {
	dial  func() (net.Conn, error)
	limit time.Duration // of each wait

	mu       sync.Mutex
	begun    int
	accepted []string
	refused  []error // connections that were not taken
	odd      []error // dialogs that ended neither with 250 nor with 421
}

// accept keeps that the relay has taken a message.
func (l *load) accept(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, subject)
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

func (l *load) subject() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	return fmt.Sprintf("message %d", l.begun)
}

// note keeps a fault.
func (l *load) note(to *[]error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, err)
}

// during sends from four clients while do runs, and after it. Every connection
// must be taken, and every dialog on it end with 250, or with 421. It returns
// what was not so.
func (l *load) during(do func()) (faults []string) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond): // which spares the machine
					l.once()
				}
			}
		})
	}
	more := func(when string) {
		begin := l.count()
		if !harness.Holds(l.limit, func() bool { return l.count() >= begin+8 }) {
			faults = append(faults, "no more mail was taken "+when)
		}
	}
	more("before")
	do()
	more("after")
	close(stop)
	clients.Wait()
	if n := len(l.refused); n > 0 {
		faults = append(faults, fmt.Sprintf("%d connections were not taken, the first: %v", n, l.refused[0]))
	}
	if n := len(l.odd); n > 0 {
		faults = append(faults, fmt.Sprintf("%d dialogs ended oddly, the first: %v", n, l.odd[0]))
	}
	l.refused, l.odd = nil, nil
	return faults
}

// once sends one message and keeps what is wrong.
func (l *load) once() {
	nc, err := l.dial()
	if err != nil {
		l.note(&l.refused, err)
		return
	}
	if err := l.submit(nc); err != nil {
		if _, ok := err.(broken); !ok {
			l.note(&l.odd, err)
		}
	}
}

// submit sends one message over a connection, and closes it.
func (l *load) submit(nc io.ReadWriteCloser) error {
	defer nc.Close()
	subject := l.subject()
	r := bufio.NewReader(nc)
	for _, step := range []struct{ say, want string }{
		{"", "220"}, {"HELO c", "250"}, {"MAIL FROM:<notifications@contoso.com>", "250"}, {"RCPT TO:<you@example.org>",
			"250"}, {"DATA", "354"},
		{"From: notifications@contoso.com\r\nTo: you@example.org\r\nSubject: " + subject + "\r\n\r\nx\r\n.", "250"},
	} {
		if step.say != "" {
			if _, err := fmt.Fprintf(nc, "%s\r\n", step.say); err != nil {
				return broken{err}
			}
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return broken{err}
		}
		if strings.HasPrefix(line, "421") {
			return broken{fmt.Errorf("%s", line)}
		}
		if !strings.HasPrefix(line, step.want) {
			return fmt.Errorf("after %.20q: %s", step.say, line)
		}
	}
	l.accept(subject)
	_, _ = io.WriteString(nc, "QUIT\r\n")
	return nil
}

// broken is a dialog that the relay ended before it took the message: the client
// of a relay that stops sends again. Its 421 may be lost to a reset.
type broken struct{ error }
