package powershell

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// levels are the binary operators, the weakest first.
var levels = [][]string{
	{"-and", "-or"},
	{"-bor"},
	{"-eq", "-ne", "-ceq", "-gt", "-ge", "-lt", "-le", "-like", "-contains", "-notcontains", "-join"},
	{"+", "-"},
	{"*", "/"},
	{"-f"},
}

func (p *parser) expression() Node { return p.level(0) }

func (p *parser) level(n int) Node {
	if n == len(levels) {
		return p.commas()
	}
	left := p.level(n + 1)
	for {
		mark := p.at
		p.skip(false)
		op := p.operator(levels[n])
		if op == "" {
			p.at = mark
			return left
		}
		p.skip(true)
		left = binary{op, left, p.level(n + 1)}
	}
}

var operatorAt = regexp.MustCompile(`^(-[a-z]+\b|[+*/]|- )`)

func (p *parser) operator(known []string) string {
	op := strings.TrimSpace(operatorAt.FindString(strings.ToLower(p.s[p.at:min(len(p.s), p.at+20)])))
	if op == "" || !slices.Contains(known, op) {
		return ""
	}
	p.at += len(op)
	return op
}

// commas reads a list.
func (p *parser) commas() Node {
	items := []Node{p.unary()}
	for {
		mark := p.at
		p.skip(false)
		if !p.take(",") {
			p.at = mark
			break
		}
		p.skip(true)
		items = append(items, p.unary())
	}
	if len(items) == 1 {
		return items[0]
	}
	return list{items}
}

var castAt = regexp.MustCompile(`^\[[A-Za-z.]+\][^:]`)

func (p *parser) unary() Node {
	p.skip(false)
	switch {
	case p.take("-not "):
		p.skip(false)
		return unary{"-not", p.unary()}
	case p.peek() == '-':
		p.at++
		return unary{"-", p.unary()}
	case castAt.MatchString(p.s[p.at:]):
		name := p.typeName()
		return cast{name, p.unary()}
	}
	return p.postfix()
}

func (p *parser) typeName() string {
	p.need("[")
	end := strings.IndexByte(p.s[p.at:], ']')
	if end < 0 {
		p.fail("] is missing")
	}
	name := p.s[p.at : p.at+end]
	p.at += end + 1
	return name
}

// postfix reads a value with its members, elements and methods.
func (p *parser) postfix() Node {
	n := p.primary()
	for {
		switch {
		case p.peek() == '.' && wordAt.MatchString(p.s[p.at+1:]):
			p.at++
			name := simpleAt.FindString(p.s[p.at:])
			p.at += len(name)
			if p.peek() != '(' {
				n = member{n, name}
				continue
			}
			n = call{n, name, p.callArguments()}
		case p.peek() == '[':
			p.at++
			at := p.expression()
			p.need("]")
			n = index{n, at}
		default:
			return n
		}
	}
}

var simpleAt = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)

func (p *parser) callArguments() (args []Node) {
	p.need("(")
	for {
		p.skip(true)
		if p.take(")") {
			return args
		}
		args = append(args, p.callArgument())
		p.skip(true)
		p.take(",")
	}
}

// callArgument is an expression without commas: those divide arguments.
func (p *parser) callArgument() Node {
	left := p.unary()
	for {
		p.skip(false)
		op := p.operator([]string{"+", "-", "*", "/"})
		if op == "" {
			return left
		}
		p.skip(false)
		left = binary{op, left, p.unary()}
	}
}

// name reads that of a variable, after its dollar.
func (p *parser) name() string {
	if p.take("{") {
		end := strings.IndexByte(p.s[p.at:], '}')
		name := p.s[p.at : p.at+end]
		p.at += end + 1
		return name
	}
	name := nameAt.FindString(p.s[p.at:])
	if name == "" {
		p.fail("a variable has no name")
	}
	p.at += len(name)
	return name
}

var nameAt = regexp.MustCompile(`^(env:[A-Za-z_]+|[A-Za-z_][A-Za-z0-9_]*)`)

var numberAt = regexp.MustCompile(`^(0x[0-9A-Fa-f]+|[0-9]+)`)

func (p *parser) primary() Node {
	c := p.peek()
	switch {
	case c == '$' && strings.HasPrefix(p.s[p.at:], "$("):
		p.at += 2
		return sub{p.statements(')')}
	case c == '$':
		p.at++
		return variable{p.name()}
	case c == '\'':
		return p.single()
	case c == '"':
		return p.double()
	case strings.HasPrefix(p.s[p.at:], "@("):
		p.at += 2
		return array{p.statements(')')}
	case strings.HasPrefix(p.s[p.at:], "@{"):
		p.at += 2
		return p.table()
	case c == '(':
		p.at++
		n := p.pipeline()
		p.skip(true)
		p.need(")")
		return sub{[]Node{n}}
	case c == '{':
		p.at++
		return block{p.statements('}')}
	case c == '[':
		return p.static()
	case numberAt.MatchString(p.s[p.at:]):
		m := numberAt.FindString(p.s[p.at:])
		p.at += len(m)
		v, _ := strconv.ParseInt(m, 0, 64)
		return literal{v}
	}
	p.fail("not understood: %.40q", p.s[p.at:])
	return nil
}

func (p *parser) static() Node {
	n := static{of: p.typeName()}
	p.need("::")
	n.name = simpleAt.FindString(p.s[p.at:])
	p.at += len(n.name)
	if p.peek() == '(' {
		n.args = p.callArguments()
	}
	return n
}

func (p *parser) table() Node {
	n := table{}
	for {
		p.skip(true)
		if p.take("}") {
			return n
		}
		key := simpleAt.FindString(p.s[p.at:])
		p.at += len(key)
		p.skip(false)
		p.need("=")
		p.skip(false)
		n.keys, n.values = append(n.keys, key), append(n.values, p.expression())
	}
}

// single reads a string in which nothing is expanded.
func (p *parser) single() Node {
	p.at++
	var b strings.Builder
	for {
		if p.at >= len(p.s) {
			p.fail("a string does not end")
		}
		if p.take("''") {
			b.WriteByte('\'')
			continue
		}
		if p.take("'") {
			return literal{b.String()}
		}
		b.WriteByte(p.s[p.at])
		p.at++
	}
}

// double reads a string with values in it.
func (p *parser) double() Node {
	p.at++
	n, b := text{}, strings.Builder{}
	flush := func() {
		n.parts = append(n.parts, literal{b.String()})
		b.Reset()
	}
	for {
		rest := p.s[p.at:]
		switch {
		case rest == "":
			p.fail("a string does not end")
		case rest[0] == '"':
			p.at++
			flush()
			return n
		case rest[0] == '`':
			p.fail("an escape in a string")
		case strings.HasPrefix(rest, "$("), strings.HasPrefix(rest, "${"):
			flush()
			n.parts = append(n.parts, p.primary())
		case rest[0] == '$' && (nameAt.MatchString(rest[1:])):
			flush()
			p.at++
			n.parts = append(n.parts, variable{p.name()})
			if p.peek() == ':' {
				p.fail("a colon follows a variable in a string, which PowerShell takes for a drive: write ${NAME}")
			}
		default:
			b.WriteByte(rest[0])
			p.at++
		}
	}
}
