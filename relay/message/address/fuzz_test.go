package address

import (
	"bytes"
	"slices"
	"testing"

	"graphrelay/relay/envelope"
)

// A list that is kept as a whole still names every address, and an edit leaves one
// mailbox.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", " a@x.example (b@y.example)", " \"a@x.example\r\n \" <b@y.example>", " <@a,@b:c@d>,\r\n \r\n e@f",
		" g:a@b,c@d;,h:;", " a@b <a@b>", " =?utf-8?q?a=40b?= <c@d>", " =?utf-8?q?\"?= <a@b>, =?utf-8?q?\"?= <c@d>",
		" a@[1.2.3.4], \"a b\"@c, a.@b, \xff@b", " jürgen@bücher.example", " root (Cron Daemon)", " Smith, Ann <a@b>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		l, err := Parse(value)
		if len(l.boxes) > maxList || len(l.entries) > maxList {
			t.Fatalf("%d mailboxes in %d entries", len(l.boxes), len(l.entries))
		}
		if bytes.Contains(bytes.ReplaceAll(value, []byte("\r\n "), nil), []byte("\n")) {
			return // not the value of a field
		}
		to, wrong := envelope.ParseAddress("n@c.example")
		named := Named(to, value)
		if found, one := oneMailbox(named); wrong != nil || !one || !found.Equal(to) {
			t.Errorf("Named gave %q", named)
		}
		if quoted, ok := quoteNames(value); ok {
			if _, one := oneMailbox(quoted); !one {
				t.Errorf("QuoteNames gave %q", quoted)
			}
		}
		if err != nil {
			return
		}
		index := map[string]int{}
		for _, b := range l.boxes {
			if !b.addr.IsZero() && !b.route {
				if _, again := index[b.addr.Key()]; !again {
					index[b.addr.Key()] = len(index)
				}
			}
		}
		l.Match(index)
		kept, err := Parse(l.Keep())
		if err != nil {
			return // the caller reads it again and sets it aside
		}
		kept.Match(index)
		covered := make([]bool, len(index))
		if !kept.Exact(false) {
			return
		}
		if kept.Cover(covered); slices.Contains(covered, false) {
			t.Errorf("%q no longer names all of %v", l.Keep(), index)
		}
	})
}
