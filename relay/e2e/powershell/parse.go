package powershell

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Script is a script that was read.
type Script struct {
	params []param
	body   []Node
	// Commands are all of its commands, in the order of the text.
	Commands []*Command
}

// parser reads from the text at a position.
type parser struct {
	s        string
	at       int
	commands []*Command
}

// Parse reads a script.
func Parse(s string) (script *Script, err error) {
	p := &parser{s: s}
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(SyntaxError)
			if !ours {
				panic(r)
			}
			script, err = nil, e
		}
	}()
	script = &Script{}
	p.skip(true)
	if p.word("param") {
		script.params = p.params()
	}
	script.body = p.statements(0)
	script.Commands = p.commands
	return script, nil
}

func (p *parser) fail(format string, args ...any) {
	panic(SyntaxError{strings.Count(p.s[:min(p.at, len(p.s))], "\n") + 1, fmt.Sprintf(format, args...)})
}

func (p *parser) line() int { return strings.Count(p.s[:p.at], "\n") + 1 }

func (p *parser) peek() byte {
	if p.at >= len(p.s) {
		return 0
	}
	return p.s[p.at]
}

// skip passes blanks and comments, and line ends where they mean nothing.
func (p *parser) skip(lines bool) {
	for p.at < len(p.s) {
		switch c := p.s[p.at]; {
		case c == ' ', c == '\t', c == '\r', lines && (c == '\n' || c == ';'):
			p.at++
		case c == '#':
			for p.at < len(p.s) && p.s[p.at] != '\n' {
				p.at++
			}
		default:
			return
		}
	}
}

// take passes a piece of text, if it is next.
func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.s[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) need(s string) {
	if !p.take(s) {
		p.fail("%q is missing at %.30q", s, p.s[p.at:])
	}
}

var wordAt = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*`)

// word passes a keyword.
func (p *parser) word(w string) bool {
	if m := wordAt.FindString(p.s[p.at:]); strings.EqualFold(m, w) {
		p.at += len(m)
		p.skip(false)
		return true
	}
	return false
}

// statements reads up to an end, which it passes; 0 is the end of the text.
func (p *parser) statements(end byte) (list []Node) {
	for {
		p.skip(true)
		switch {
		case p.at >= len(p.s) && end == 0:
			return list
		case p.at >= len(p.s):
			p.fail("%q is missing at the end", end)
		case p.peek() == end:
			p.at++
			return list
		}
		list = append(list, p.statement())
		p.skip(false)
		if c := p.peek(); c != '\n' && c != ';' && c != end && p.at < len(p.s) && p.s[p.at-1] != '}' {
			p.fail("a statement does not end at %.30q", p.s[p.at:])
		}
	}
}

func (p *parser) body() []Node {
	p.skip(true)
	p.need("{")
	return p.statements('}')
}

func (p *parser) condition() Node {
	p.skip(false)
	p.need("(")
	n := p.pipeline()
	p.skip(true)
	p.need(")")
	return n
}

func (p *parser) statement() Node {
	switch {
	case p.word("if"):
		return p.ifStatement()
	case p.word("foreach"):
		p.need("(")
		p.skip(true)
		p.need("$")
		n := foreach{name: p.name()}
		p.skip(true)
		if !p.word("in") {
			p.fail("in is missing")
		}
		n.in = p.pipeline()
		p.skip(true)
		p.need(")")
		n.body = p.body()
		return n
	case p.word("while"):
		n := while{test: p.condition()}
		n.body = p.body()
		return n
	case p.word("try"):
		n := try{body: p.body()}
		p.skip(true)
		if !p.word("catch") {
			p.fail("catch is missing")
		}
		n.catch = p.body()
		return n
	case p.word("function"):
		n := function{name: wordAt.FindString(p.s[p.at:])}
		p.at += len(n.name)
		p.skip(false)
		if p.peek() == '(' {
			n.params = p.params()
		}
		n.body = p.body()
		return n
	}
	for _, w := range []string{"throw", "return", "exit"} {
		if p.word(w) {
			n := leave{word: w}
			if c := p.peek(); c != '\n' && c != ';' && c != '}' && p.at < len(p.s) {
				n.with = p.pipeline()
			}
			return n
		}
	}
	return p.assignment()
}

func (p *parser) ifStatement() Node {
	n := ifNode{tests: []Node{p.condition()}, bodies: [][]Node{p.body()}}
	for {
		mark := p.at
		p.skip(true)
		switch {
		case p.word("elseif"):
			n.tests = append(n.tests, p.condition())
			n.bodies = append(n.bodies, p.body())
		case p.word("else"):
			n.other = p.body()
			return n
		default:
			p.at = mark
			return n
		}
	}
}

func (p *parser) params() (list []param) {
	p.need("(")
	for {
		p.skip(true)
		if p.take(")") {
			return list
		}
		one := param{}
		if p.peek() == '[' {
			p.typeName()
		}
		p.need("$")
		one.name = p.name()
		p.skip(true)
		if p.take("=") {
			p.skip(true)
			one.preset = p.callArgument()
		}
		list = append(list, one)
		p.skip(true)
		p.take(",")
	}
}

var assignAt = regexp.MustCompile(`^ *(\+?=)[^=]`)

func (p *parser) assignment() Node {
	start, known := p.at, len(p.commands)
	if c := p.peek(); c == '$' || c == '[' {
		left := p.postfix()
		if m := assignAt.FindStringSubmatch(p.s[p.at:]); m != nil {
			p.at += len(m[0]) - 1
			p.skip(true)
			return assign{left, m[1], p.pipeline()}
		}
		if p.take("++") {
			return increment{left}
		}
		p.at, p.commands = start, p.commands[:known]
	}
	return p.pipeline()
}

func (p *parser) pipeline() Node {
	n := pipeline{}
	for {
		p.skip(true)
		n.stages = append(n.stages, p.stage())
		p.skip(false)
		if !p.take("|") {
			break
		}
	}
	if len(n.stages) == 1 {
		return n.stages[0]
	}
	return n
}

// stage is a command, or an expression.
func (p *parser) stage() Node {
	c := p.peek()
	switch {
	case c == '&':
		start := p.at
		p.at++
		p.skip(false)
		cmd := &Command{Line: p.line(), target: p.postfix()}
		return p.arguments(cmd, start)
	case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		cmd := &Command{Line: p.line(), Name: wordAt.FindString(p.s[p.at:])}
		if !strings.Contains(cmd.Name, "-") {
			p.fail("%q is no cmdlet", cmd.Name)
		}
		p.at += len(cmd.Name)
		return p.arguments(cmd, p.at-len(cmd.Name))
	}
	return p.expression()
}

// arguments reads what follows the name of a command, which begins at start.
func (p *parser) arguments(cmd *Command, start int) Node {
	p.commands = append(p.commands, cmd)
	for {
		p.skip(false)
		switch c := p.peek(); {
		case p.at >= len(p.s), strings.IndexByte("\n;|)}", c) >= 0:
			cmd.Text = strings.TrimRight(p.s[start:p.at], " ")
			return cmd
		case c == '@' && p.at+1 < len(p.s) && p.s[p.at+1] != '(' && p.s[p.at+1] != '{':
			p.at++
			cmd.Args = append(cmd.Args, Argument{value: variable{p.name()}})
		case c == '-' && wordAt.MatchString(p.s[p.at+1:]):
			p.at++
			one := Argument{Name: wordAt.FindString(p.s[p.at:])}
			p.at += len(one.Name)
			if p.take(":") {
				p.argument(&one)
			} else if p.skip(false); p.beginsValue() {
				p.argument(&one)
			}
			cmd.Args = append(cmd.Args, one)
		default:
			one := Argument{}
			p.argument(&one)
			cmd.Args = append(cmd.Args, one)
		}
	}
}

// beginsValue reports whether a parameter has a value: a switch has none.
func (p *parser) beginsValue() bool {
	c := p.peek()
	return p.at < len(p.s) && strings.IndexByte("\n;|)}-", c) < 0 &&
		!(c == '@' && p.s[p.at+1] != '(' && p.s[p.at+1] != '{')
}

var bareAt = regexp.MustCompile(`^[A-Za-z0-9_./*-]+`)

// argument reads one value, or several with commas between.
func (p *parser) argument(one *Argument) {
	items := []Node{p.argumentValue()}
	for p.peek() == ',' {
		p.at++
		p.skip(true)
		items = append(items, p.argumentValue())
	}
	one.value = items[0]
	if len(items) > 1 {
		one.value = list{items}
	}
}

func (p *parser) argumentValue() Node {
	if m := bareAt.FindString(p.s[p.at:]); m != "" {
		p.at += len(m)
		if n, err := strconv.ParseInt(m, 10, 64); err == nil {
			return literal{n}
		}
		return literal{m}
	}
	return p.postfix()
}
