package wire

import (
	"slices"
	"strings"
)

// Notify is what the parameters of RFC 3461 in a command ask for. They are read
// although DSN is not offered: many clients send them unasked.
type Notify struct {
	Given bool // there were some
	Never bool // NOTIFY=NEVER
}

// CutNotify takes these parameters out of MAIL and RCPT; false means that one is
// malformed, or given twice.
func (c *Command) CutNotify() (n Notify, ok bool) {
	if c.Verb != "MAIL" && c.Verb != "RCPT" {
		return n, true
	}
	end := pathEnd(c.Arg)
	kept := []string{c.Arg[:end]}
	var seen []string
	for _, p := range strings.Fields(c.Arg[end:]) {
		name, value, _ := strings.Cut(p, "=")
		name = strings.ToUpper(name)
		check, known := notifyParameters[c.Verb+" "+name]
		if !known {
			kept = append(kept, p)
			continue
		}
		if slices.Contains(seen, name) || !check(value) {
			return n, false
		}
		seen = append(seen, name)
		n.Given = true
		n.Never = n.Never || name == "NOTIFY" && strings.EqualFold(value, "NEVER")
	}
	if n.Given {
		c.Arg = strings.Join(kept, " ")
	}
	return n, true
}

// notifyParameters have a check of their value each.
var notifyParameters = map[string]func(value string) bool{
	"MAIL RET":   func(v string) bool { return strings.EqualFold(v, "FULL") || strings.EqualFold(v, "HDRS") },
	"MAIL ENVID": func(v string) bool { return v != "" && isXtext(v) },
	"RCPT NOTIFY": func(v string) bool {
		return strings.EqualFold(v, "NEVER") || !slices.ContainsFunc(strings.Split(strings.ToUpper(v), ","),
			func(event string) bool { return event != "SUCCESS" && event != "FAILURE" && event != "DELAY" })
	},
	"RCPT ORCPT": func(v string) bool {
		kind, address, found := strings.Cut(v, ";")
		return found && kind != "" && address != "" && isXtext(kind) && isXtext(address)
	},
}

// isXtext reports whether + is always followed by two hexadecimal digits, and
// there is no =. RFC 6533 also has bytes beyond ASCII.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '=' || s[i] == '+' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// Glued reports whether the path of MAIL or RCPT and what follows it have no blank
// between them, as in "FROM:<a@b>SIZE=1": RFC 5321 wants one, and go-smtp none.
func (c *Command) Glued() bool {
	if c.Verb != "MAIL" && c.Verb != "RCPT" {
		return false
	}
	rest := c.Arg[pathEnd(c.Arg):]
	return rest != "" && rest[0] != ' ' && rest[0] != '\t'
}

// pathEnd finds where the path in "TO:<a@b> X=Y" ends: parameters follow.
func pathEnd(arg string) int {
	start := pathStart(arg)
	end, _ := scanPath(arg[start:])
	if end += start; strings.HasPrefix(arg[end:], ">") {
		return end + 1
	}
	return end
}
