package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"graphrelay/relay/text"
)

// server is where sendmail hands messages over.
type server struct{ network, address string }

var defaultServer = server{"unix", "/run/graphrelay/submit.sock"}

// confError is a mistake in $GRAPHRELAY_SUBMIT or sendmail.conf.
type confError struct{ error }

// server asks the environment first, then the file, which need not exist. A file
// that cannot be used must not cost mail: it counts as absent, with a warning.
func (s *submission) server() (server, error) {
	if v := os.Getenv("GRAPHRELAY_SUBMIT"); v != "" {
		to, err := parseServer(v)
		if err != nil {
			return server{}, confError{fmt.Errorf("GRAPHRELAY_SUBMIT: %w", err)}
		}
		return to, nil
	}
	content, err := os.ReadFile(s.conf)
	to := defaultServer
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return to, nil
	case err == nil:
		to, err = parseConf(s.conf, string(content))
	default:
		err = fmt.Errorf("%w; %s", err, readable(s.conf))
	}
	if err != nil {
		to = defaultServer
		s.say("warning: %s; until then the message goes to unix:%s", text.Line(err.Error()), to.address)
	}
	return to, nil
}

// readable says how a file becomes readable for every user.
func readable(file string) string {
	dir := filepath.Dir(file)
	if unix.Access(dir, unix.X_OK) != nil {
		return "run as root: chmod 755 " + dir
	}
	return "run as root: chmod 644 " + file
}

// parseConf reads sendmail.conf: comments, empty lines, and one line
// "submit: unix:/PATH" or "submit: HOST:PORT".
func parseConf(name, text string) (server, error) {
	to, seen := defaultServer, false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, colon := strings.Cut(line, ":")
		var err error
		switch {
		case !colon || strings.TrimSpace(key) != "submit":
			err = fmt.Errorf("%q is not a key of this file; the only one is submit", strings.TrimSpace(key))
		case seen:
			err = errors.New("submit is repeated; keep one line")
		default:
			seen = true
			to, err = parseServer(unquote(withoutComment(value)))
		}
		if err != nil {
			return server{}, confError{fmt.Errorf("%s:%d: %w", name, i+1, err)}
		}
	}
	return to, nil
}

// withoutComment and unquote do to a value what YAML would.
func withoutComment(value string) string {
	value, _, _ = strings.Cut(value, " #")
	return strings.TrimSpace(value)
}

func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

func parseServer(value string) (server, error) {
	wrong := fmt.Errorf("%.200q is not an address of the relay; write unix:/PATH or HOST:PORT, as in "+
		"unix:/run/graphrelay/submit.sock", value)
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return server{}, wrong
	}
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return server{}, wrong
		}
		return server{"unix", path}, nil
	}
	host, port, err := net.SplitHostPort(value)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || perr != nil || n == 0 {
		return server{}, wrong
	}
	return server{"tcp", value}, nil
}
