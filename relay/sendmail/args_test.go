package sendmail

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// The command lines are those of the programs named.
func TestParseArgs(t *testing.T) {
	root := "root"
	from := "a@example.org"
	for line, want := range map[string]Args{
		// Debian's cron, cronie, PHP, git send-email, s-nail, mailutils, smartd, mdadm
		"-FCronDaemon -i -B8BITMIME -oem root": {Name: "CronDaemon", KeepDots: true, Recipients: []string{"root"}},
		"-FCronDaemon -i -odi -oem -oi -t -f root": {Name: "CronDaemon", KeepDots: true, FromHeader: true,
			Sender: &root},
		"-t -i":                 {FromHeader: true, KeepDots: true},
		"-t -i -fa@example.org": {FromHeader: true, KeepDots: true, Sender: &from},
		"-f a@example.org -i x@example.org y@example.org": {KeepDots: true, Sender: &from,
			Recipients: []string{"x@example.org", "y@example.org"}},
		"-i -r a@example.org -- root -x": {KeepDots: true, Sender: &from,
			Recipients: []string{"root", "-x"}},
		"-oi -f a@example.org -t": {KeepDots: true, FromHeader: true, Sender: &from},
		"-t":                      {FromHeader: true},
		"-ti -v":                  {FromHeader: true, KeepDots: true, Verbose: true},
		"-itfa@example.org":       {FromHeader: true, KeepDots: true, Sender: &from},
		"-o i root":               {KeepDots: true, Recipients: []string{"root"}},
		"root -i":                 {KeepDots: true, Recipients: []string{"root"}},
		"-bm root":                {Recipients: []string{"root"}},
		"-N failure,delay -R hdrs -V id -h 5 -L tag -Am root":   {Recipients: []string{"root"}},
		"-C /etc/shadow -X /tmp/log -OQueueDirectory=/ root":    {Recipients: []string{"root"}},
		"-d21.12 -Zfx@example.org --read-envelope-from -m root": {Recipients: []string{"root"}},
		"-bs":       {Mode: SMTP},
		"-b s":      {Mode: SMTP},
		"-bp":       {Mode: Queue},
		"-bi":       {Mode: Aliases},
		"-I":        {Mode: Aliases},
		"-bh":       {Mode: Nothing},
		"-q":        {Mode: Nothing},
		"-q30m":     {Mode: Nothing},
		"-qRfoo -v": {Mode: Nothing, Verbose: true},
		"-q root":   {Recipients: []string{"root"}},
		"--help":    {Mode: Help},
	} {
		got, err := ParseArgs(strings.Fields(line))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseArgs(%s) = %+v, %v; want %+v", line, got, err, want)
		}
	}
}

func TestParseArgsRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":             "no recipient",
		"-i":           "no recipient",
		"-f a@b --":    "no recipient",
		"root -f":      "-f needs a value",
		"-h":           "-h needs a value",
		"-bs -t":       "use one of them",
		"-bd -q1h":     "systemctl start graphrelay",
		"-bt":          "not supported",
		"-b" + "v a@b": "not supported",
	} {
		_, err := ParseArgs(strings.Fields(line))
		var usage UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseArgs(%s): %v, want a usage error with %q", line, err, want)
		}
	}
}

func FuzzParseArgs(f *testing.F) {
	for _, s := range []string{"-t -i -fa@b root", "-FName -oi -- -x", "-bs -q -", "-f", "--", "-ab-c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseArgs(strings.Split(s, " "))
		if err == nil && a.Mode == Send && !a.FromHeader && len(a.Recipients) == 0 {
			t.Fatalf("%q: nobody to send to, and no error", s)
		}
	})
}
