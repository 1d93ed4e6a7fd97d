package torture

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
)

// call is one system call of an strace -f -y log: a call that another thread
// interrupted in the log is put together again.
type call struct {
	name   string
	args   string
	result string
	begin  int // line of its start
	end    int // line of its return
}

var (
	traceLine = regexp.MustCompile(`^(\d+)\s+(?:\d+\.\d+ )?(.*)$`)
	callStart = regexp.MustCompile(`^(\w+)\((.*)$`)
	callEnd   = regexp.MustCompile(`^(.*)\)\s+= (.*)$`)
	resumed   = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)$`)
)

// readTrace reads the log of strace -f -y.
func readTrace(log string) []call {
	var calls []call
	open := map[string]int{} // thread -> index of its unfinished call
	lines := bufio.NewScanner(strings.NewReader(log))
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		m := traceLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		thread, text := m[1], m[2]
		if r := resumed.FindStringSubmatch(text); r != nil {
			if i, ok := open[thread]; ok {
				calls[i].close(r[2], n)
				delete(open, thread)
			}
			continue
		}
		s := callStart.FindStringSubmatch(text)
		if s == nil {
			continue
		}
		c := call{name: s[1], begin: n}
		if rest, cut := strings.CutSuffix(s[2], " <unfinished ...>"); cut {
			c.args = rest
			open[thread] = len(calls)
		} else {
			c.close(s[2], n)
		}
		calls = append(calls, c)
	}
	return calls
}

func (c *call) close(rest string, line int) {
	if m := callEnd.FindStringSubmatch(rest); m != nil {
		c.args += m[1]
		c.result = m[2]
	} else {
		c.args += rest
	}
	c.end = line
}

func (c *call) writes() bool {
	return c.name == "write" || c.name == "pwrite64" || c.name == "writev" || c.name == "sendto" || c.name == "sendmsg"
}

func (c *call) syncs() bool {
	return (c.name == "fsync" || c.name == "fdatasync") && strings.HasPrefix(c.result, "0")
}

// flushedBefore checks the order that durability needs in a trace of one
// message with nothing beside it: the message's bytes (holding marker) go to
// the store's files, a flush of that file begins after the last write to it and
// returns before the 250 is written to the client.
func flushedBefore(calls []call, store, marker string) error {
	body, answer := -1, -1
	for i, c := range calls {
		switch {
		case body < 0 && c.writes() && strings.Contains(c.args, store) && strings.Contains(c.args, marker):
			body = i
		case body >= 0 && answer < 0 && c.writes() && strings.Contains(c.args, `"250 2.0.0`):
			answer = i
		}
	}
	if body < 0 || answer < 0 {
		return fmt.Errorf("the trace of %d calls shows no write of the message (%d) or no 250 after it (%d)",
			len(calls), body, answer)
	}
	last, file := body, fileOf(calls[body])
	for i := body; i < answer; i++ {
		if calls[i].writes() && fileOf(calls[i]) == file {
			last = i
		}
	}
	for _, c := range calls[last:answer] {
		if c.syncs() && fileOf(c) == file && c.begin > calls[last].end && c.end < calls[answer].begin {
			return nil
		}
	}
	return fmt.Errorf("no flush of %s between its last write (line %d) and the 250 (line %d)", file, calls[last].begin,
		calls[answer].begin)
}

// failedFlushOf checks that the first flush that a trace with injected errors
// shows as failed is the one of the message that holds marker: that of the
// file that the message's bytes went to, with nothing flushed in between.
func failedFlushOf(calls []call, store, marker string) error {
	file := ""
	for _, c := range calls {
		switch {
		case file == "" && c.writes() && strings.Contains(c.args, store) && strings.Contains(c.args, marker):
			file = fileOf(c)
		case c.name != "fsync" && c.name != "fdatasync":
		case file == "":
			return fmt.Errorf("a flush of %s (line %d) comes before the message is written", fileOf(c), c.begin)
		case fileOf(c) != file || !strings.Contains(c.result, "INJECTED"):
			return fmt.Errorf("after the message comes a flush of %s that ends with %q (line %d)", fileOf(c),
				c.result, c.begin)
		default:
			return nil
		}
	}
	return fmt.Errorf("the trace of %d calls shows no flush after a write of the message (to %q)", len(calls), file)
}

// fileOf is what -y shows of a call's file descriptor: 7</var/lib/x>.
func fileOf(c call) string {
	_, rest, _ := strings.Cut(c.args, "<")
	file, _, _ := strings.Cut(rest, ">")
	return file
}
