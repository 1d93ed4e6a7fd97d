package config

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"graphrelay/config/strict"
)

// TestEachRemedyIsFollowed reads the remedy of each mistake in testdata/invalid-*.yaml,
// of which each rule has one, does what it says in each way that it offers, and wants
// the mistake to be gone. A remedy without a way fails, and so does a way that no
// mistake needs any more.
func TestEachRemedyIsFollowed(t *testing.T) {
	rows := waysOfRemedies()
	unused := map[string]bool{}
	for remedy, ways := range rows {
		for _, way := range ways {
			unused[remedy+" | "+way] = true
		}
	}
	for _, path := range invalidFiles(t) {
		text := read(t, path)
		before := problemsOf(text)
		for _, p := range before {
			followed := 0
			for _, way := range append(slices.Clone(rows[p.Remedy]), waysItNames(p.Remedy)...) {
				after, done := follow(text, p, way)
				if !done {
					continue
				}
				followed++
				delete(unused, p.Remedy+" | "+way)
				wantGone(t, p, before, after)
			}
			if followed == 0 {
				t.Errorf("nobody follows the remedy of %s", p)
			}
		}
	}
	for _, way := range slices.Sorted(maps.Keys(unused)) {
		t.Errorf("no mistake is mended by %s", way)
	}
}

// next are the mistakes that may come to light when another is mended: each has its own remedy.
var next = regexp.MustCompile("^(has no value$|is missing, and so is |is missing$|is a second credential$|" +
	"cannot be used: no listener has auth$|can never succeed: |is not a private network|needs a certificate$|" +
	"names networks, and a unix socket has none|(leaves|is) less than |" +
	"is not an address|is false, and there are no clients)")

func wantGone(t *testing.T, p Problem, before Errors, text string) {
	t.Helper()
	after := problemsOf(text)
	same := func(q Problem) bool { return q.Wrong == p.Wrong }
	if count(after, same) >= count(before, same) {
		t.Errorf("%s\nis still there:\n%v\nin\n%s", p, after.Error(), text)
	}
	for _, q := range after {
		known := slices.ContainsFunc(before, func(b Problem) bool { return b.Wrong == q.Wrong })
		if !known && p.Key != "" && !next.MatchString(q.Wrong) {
			t.Errorf("%s\nleads to\n%s\nin\n%s", p, q, text)
		}
	}
}

func count(all Errors, is func(Problem) bool) (n int) {
	for _, p := range all {
		if is(p) {
			n++
		}
	}
	return n
}

func problemsOf(text string) Errors {
	_, err := Parse("f", []byte(text), "/etc/graphrelay")
	all, _ := err.(Errors)
	return all
}

// waysItNames are those of the remedies that say exactly what to write.
func waysItNames(remedy string) (ways []string) {
	for _, form := range []string{`^write ([a-z-]+(?: or [a-z-]+)+)$`, `^write a value from (\w+ to \w+)$`,
		`^write (\S+ for the network, or \S+) for the one host$`} {
		if m := regexp.MustCompile(form).FindStringSubmatch(remedy); m != nil {
			for _, word := range regexp.MustCompile(` or | to | for the network, or `).Split(m[1], -1) {
				ways = append(ways, "= "+word)
			}
		}
	}
	return ways
}

// follow does what a way says; false if it is for another mistake with that remedy.
// "= X" writes X as the value, "-" removes the line with all that belongs to it, "~X"
// writes X for each quote, "!" writes the file anew, and "OLD => NEW ;; OLD => NEW"
// edits it. "@KEY " before it is for that key alone, TEXT is the offending text.
func follow(text string, p Problem, way string) (string, bool) {
	if key, rest, ok := strings.Cut(strings.TrimPrefix(way, "@"), " "); ok && way[0] == '@' {
		if !strings.HasPrefix(p.Key, key) {
			return "", false
		}
		way = rest
	}
	lines := strings.SplitAfter(text, "\n")
	switch {
	case way == "!":
		return minimal, true
	case way == "-":
		end := p.Line
		for end < len(lines) && indentOf(lines[end]) > indentOf(lines[p.Line-1]) {
			end++
		}
		return strings.Join(slices.Delete(lines, p.Line-1, end), ""), true
	case way[0] == '~':
		quotes := "“”‘’«»"
		if way == "~" {
			quotes += `"`
		}
		lines[p.Line-1] = regexp.MustCompile("["+quotes+"]").ReplaceAllString(lines[p.Line-1], way[1:])
		return strings.Join(lines, ""), true
	case strings.HasPrefix(way, "= "):
		lines[p.Line-1] = writeValue(lines[p.Line-1], p, way[2:])
		return strings.Join(lines, ""), true
	}
	return edit(text, p, way)
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func writeValue(line string, p Problem, value string) string {
	value = strings.ReplaceAll(value, "$", "$$")
	exact := regexp.MustCompile(`(^|[\[\s{,])"?` + regexp.QuoteMeta(p.Text) + `"?($|[\s\],}])`)
	if p.Text != "" && exact.MatchString(line) {
		return exact.ReplaceAllString(line, "${1}"+value+"${2}")
	}
	key := p.Key[strings.LastIndex(p.Key, ".")+1:]
	return regexp.MustCompile(`\b`+key+`: .*`).ReplaceAllString(line, key+": "+value)
}

func edit(text string, p Problem, way string) (string, bool) {
	for _, pair := range strings.Split(way, " ;; ") {
		from, to, ok := strings.Cut(pair, " => ")
		from = unescaped(strings.ReplaceAll(from, "TEXT", p.Text))
		to = unescaped(strings.ReplaceAll(to, "TEXT", p.Text))
		if !ok || !strings.Contains(text, from) {
			return "", false
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text, true
}

func unescaped(s string) string {
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		panic(err)
	}
	return s
}

// TestRemediesOfFilesAreFollowed is for what no small file in testdata can show.
func TestRemediesOfFilesAreFollowed(t *testing.T) {
	many := strings.Repeat("  - address: a@contoso.com\n", 110) // all but the first are repeated
	for wrong, c := range map[string]struct{ remedy, text, less string }{
		"file is larger than 1 MiB": {"write less; a configuration has a few hundred lines",
			minimal + strings.Repeat("# x\n", strict.MaxFile/4), minimal + "# x\n"},
		"file has more than 50,000 words": {"write fewer entries", minimal + strings.Repeat("log: {level: info}\n",
			10_000), minimal + "log: {level: info}\n"},
		"file has more than 100 mistakes": {"correct these first", strings.TrimSuffix(minimal, "  - address: "+
			"notifications@contoso.com\n") + many, minimal},
	} {
		is := func(p Problem) bool { return p.Wrong == wrong && p.Remedy == c.remedy }
		if count(problemsOf(c.text), is) != 1 || problemsOf(c.less) != nil {
			t.Errorf("%s: %.300v, then %v", wrong, problemsOf(c.text), problemsOf(c.less))
		}
	}
	path := filepath.Join(t.TempDir(), "c.yaml")
	_, err := Load(path)
	if err == nil || !strings.Contains(err.Error(), "name a configuration file with -c FILE") {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// TestRemediesOfWarningsAreFollowed writes what the warnings say, and reads no warning more.
func TestRemediesOfWarningsAreFollowed(t *testing.T) {
	const device = minimal + "clients: [{name: p, networks: [10.0.0.0/8], senders: [notifications@contoso.com]}]\n"
	for _, c := range []struct{ remedy, text, mended string }{
		{"send from a domain of your own, which you add to the tenant",
			strings.ReplaceAll(minimal, "contoso.com", "contoso.onmicrosoft.com"), minimal},
		{"write default_sender with an address of their own, and add it to senders", device,
			strings.Replace(device, "senders:\n", "default_sender: cron@contoso.com\nsenders:\n  - address: "+
				"cron@contoso.com\n", 1)},
	} {
		found, after := Warnings(parse1(t, c.text)), Warnings(parse1(t, c.mended))
		if len(found) != 1 || found[0].Remedy != c.remedy || len(after) != 0 {
			t.Errorf("%s: %v, then %v", c.remedy, found, after)
		}
	}
}

// TestCommandsOfRemediesAreFollowed runs the commands that the remedies about files
// print, with this user in the place of the service's.
func TestCommandsOfRemediesAreFollowed(t *testing.T) {
	h := newHost(t)
	c := parse1(t, minimal)
	h.write(t, "sendmail.conf", "", 0o644)
	h.write(t, "ca.pem", "", 0o640)
	h.write(t, "tls.crt", "", 0o640)
	mode := func(name string, m os.FileMode) {
		if err := os.Chmod(h.path(name), m); err != nil {
			t.Fatal(err)
		}
	}
	mode("", 0o755)
	files := func() []Problem { return c.files(h.dir) }
	folder := func() []Problem {
		k := &hostCheck{c: c}
		k.folder("queue.store", h.path("queue"))
		return k.found
	}
	for name, row := range map[string]struct {
		provoke func()
		find    func() []Problem
	}{
		"chmod 755":                 {func() { mode("", 0o750) }, files},
		"chmod 644":                 {func() { mode("sendmail.conf", 0o640) }, files},
		"chgrp graphrelay":          {func() { mode("entra.pem", 0o644) }, files},
		"install -d -o graphrelay ": {func() {}, folder},
	} {
		row.provoke()
		found := row.find()
		if len(found) != 1 || !strings.HasPrefix(found[0].Remedy, "run: "+name) {
			t.Fatalf("%s: found %v", name, found)
		}
		command := strings.TrimPrefix(found[0].Remedy, "run: ")
		command = strings.ReplaceAll(command, "-o graphrelay", "-o "+strconv.Itoa(os.Getuid()))
		command = strings.ReplaceAll(command, "-g graphrelay", "-g "+strconv.Itoa(os.Getgid()))
		command = strings.ReplaceAll(command, "chgrp graphrelay", "chgrp "+strconv.Itoa(os.Getgid()))
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		if found := row.find(); found != nil {
			t.Errorf("after %s: %v", command, found)
		}
	}
}
