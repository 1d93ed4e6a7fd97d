package sendmail

import (
	"fmt"
	"strings"
)

// Mode is what a command line asks for.
type Mode int

// The modes; Send is the one without an option.
const (
	Send    Mode = iota
	SMTP         // -bs: speak SMTP on standard input and output
	Queue        // -bp, mailq
	Aliases      // -bi, -I, newaliases
	Nothing      // -q and nothing to send: there is no queue to run
	Help         // --help
)

// Args is a command line.
type Args struct {
	Mode       Mode
	FromHeader bool     // -t: the header names recipients, too
	KeepDots   bool     // -i, -oi: a lone dot does not end the message
	Sender     *string  // -f, -r; nil without one
	Name       string   // -F
	Verbose    bool     // -v
	Recipients []string // as given; each may be a list
}

// UsageError is an invalid command line. Exit code 64.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// withValue are the options that take a value, in the same word or the next.
// Most are ignored, and are listed so that their values are not mistaken for
// recipients: -C, -X and -O could touch files, the others are for the relay to
// decide.
const withValue = "ABbCeFfhLMNOopRrVX"

// ParseArgs reads a command line without the program's name. As other drop-ins
// do, it accepts options after recipients, and ignores those it does not know: a
// mail matters more than an option.
func ParseArgs(args []string) (Args, error) {
	var a Args
	queue := false
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			a.Recipients = append(a.Recipients, args...)
			args = nil
		case word == "--help":
			a.Mode = Help
		case strings.HasPrefix(word, "--"):
		case !strings.HasPrefix(word, "-") || word == "-":
			a.Recipients = append(a.Recipients, word)
		default:
			rest, err := a.options(word[1:], args, &queue)
			if err != nil {
				return Args{}, err
			}
			args = rest
		}
	}
	return a, a.check(queue)
}

// options reads one word of options, "tif" or "fADDR", and returns the words
// that are left.
func (a *Args) options(word string, args []string, queue *bool) ([]string, error) {
	for i := range len(word) {
		c := word[i]
		if strings.IndexByte(withValue, c) >= 0 {
			value := word[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, UsageError(fmt.Sprintf("option -%c needs a value", c))
				}
				value, args = args[0], args[1:]
			}
			return args, a.valued(c, value)
		}
		switch c {
		case 't':
			a.FromHeader = true
		case 'i':
			a.KeepDots = true
		case 'v':
			a.Verbose = true
		case 'I':
			a.Mode = Aliases
		case 'q':
			*queue = true
			return args, nil
		case 'c', 'G', 'm', 'n', 's', 'U', 'x':
		default:
			// -d21.12, and whatever else: its value would read as options.
			return args, nil
		}
	}
	return args, nil
}

func (a *Args) valued(option byte, value string) error {
	switch option {
	case 'f', 'r':
		a.Sender = &value
	case 'F':
		a.Name = value
	case 'o':
		if strings.HasPrefix(value, "i") {
			a.KeepDots = true
		}
	case 'b':
		return a.mode(value)
	}
	return nil
}

func (a *Args) mode(value string) error {
	modes := map[string]Mode{"m": Send, "s": SMTP, "p": Queue, "i": Aliases, "h": Nothing, "H": Nothing}
	mode, ok := modes[value]
	switch {
	case ok:
		a.Mode = mode
		return nil
	case value == "d" || value == "D":
		return UsageError("-bd cannot start a daemon here; the relay is a service: systemctl start graphrelay")
	}
	return UsageError(fmt.Sprintf("mode -b%.20q is not supported", value))
}

func (a *Args) check(queue bool) error {
	switch {
	case a.Mode == SMTP && a.FromHeader:
		return UsageError("-t reads a message and -bs reads SMTP commands; use one of them")
	case a.Mode != Send || a.FromHeader || len(a.Recipients) > 0:
		return nil
	case queue:
		a.Mode = Nothing
		return nil
	}
	return UsageError("no recipient; name one, or use -t to take them from the header")
}
