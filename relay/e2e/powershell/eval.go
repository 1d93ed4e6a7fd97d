package powershell

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// eval is the value of an expression.
func (in *Interpreter) eval(n Node) (any, error) {
	switch n := n.(type) {
	case literal:
		return n.v, nil
	case variable:
		return in.get(n.name), nil
	case block:
		return n, nil
	case sub:
		out, err := in.run(n.body)
		return one(out), err
	case array:
		out, err := in.run(n.body)
		return flat(out), err
	case list:
		return in.all(n.items)
	case text:
		parts, err := in.all(n.parts)
		var b strings.Builder
		for _, v := range parts {
			b.WriteString(Show(v))
		}
		return b.String(), err
	case table:
		o := Object{}
		for i, key := range n.keys {
			v, err := in.value(n.values[i])
			if err != nil {
				return nil, err
			}
			o[strings.ToLower(key)] = v
		}
		return o, nil
	case static:
		args, err := in.all(n.args)
		if err != nil {
			return nil, err
		}
		return in.host.Static(n.of, n.name, args)
	case index:
		return nil, Halt("an element by its number: which one is meant?")
	}
	return in.operation(n)
}

func (in *Interpreter) all(nodes []Node) (list []any, err error) {
	list = []any{}
	for _, n := range nodes {
		v, err := in.value(n)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (in *Interpreter) operation(n Node) (any, error) {
	switch n := n.(type) {
	case member:
		v, err := in.value(n.of)
		if err != nil {
			return nil, err
		}
		return property(v, n.name), nil
	case call:
		v, err := in.value(n.of)
		if err != nil {
			return nil, err
		}
		args, err := in.all(n.args)
		if err != nil {
			return nil, err
		}
		return in.method(v, n.name, args)
	case cast:
		v, err := in.value(n.v)
		return convert(n.to, v), err
	case unary:
		v, err := in.value(n.v)
		if n.op == "-" {
			return -number(v), err
		}
		return !truth(v), err
	case binary:
		return in.binary(n)
	case pipeline, *Command:
		return in.value(n)
	}
	return nil, Stop{fmt.Errorf("an expression of the kind %T", n)}
}

func (in *Interpreter) binary(n binary) (any, error) {
	l, err := in.value(n.l)
	if err != nil {
		return nil, err
	}
	switch {
	case n.op == "-and" && !truth(l):
		return false, nil
	case n.op == "-or" && truth(l):
		return true, nil
	}
	r, err := in.value(n.r)
	if err != nil {
		return nil, err
	}
	switch n.op {
	case "-and", "-or":
		return truth(r), nil
	case "+":
		return plus(l, r), nil
	case "-":
		return number(l) - number(r), nil
	case "*":
		return number(l) * number(r), nil
	case "/":
		return number(l) / number(r), nil
	case "-bor":
		return r, nil
	case "-f":
		return format(Show(l), items(r)), nil
	case "-join":
		return strings.Join(Words(l), Show(r)), nil
	case "-contains":
		return contains(l, r), nil
	case "-notcontains":
		return !contains(l, r), nil
	}
	return compare(n.op, l, r), nil
}

// compare is an operator on a value, or the items of an array for which it holds.
func compare(op string, l, r any) any {
	if list, ok := l.([]any); ok {
		out := []any{}
		for _, v := range list {
			if truth(compare(op, v, r)) {
				out = append(out, v)
			}
		}
		return out
	}
	switch op {
	case "-eq":
		return equal(l, r)
	case "-ne":
		return !equal(l, r)
	case "-ceq":
		return Show(l) == Show(r)
	case "-like":
		begin, _ := strings.CutSuffix(strings.ToLower(Show(r)), "*") // the only form that the scripts have
		return strings.HasPrefix(strings.ToLower(Show(l)), begin)
	}
	order := 0
	if a, ok := l.(time.Time); ok {
		b, _ := r.(time.Time)
		order = a.Compare(b)
	} else {
		order = int(number(l) - number(r))
	}
	return map[string]bool{"-gt": order > 0, "-ge": order >= 0, "-lt": order < 0, "-le": order <= 0}[op]
}

// equal compares as PowerShell does: the right side becomes of the left one's kind.
func equal(l, r any) bool {
	if l == nil || r == nil {
		return l == nil && r == nil
	}
	if b, ok := l.(bool); ok {
		return b == truth(r)
	}
	return strings.EqualFold(Show(l), Show(r))
}

func contains(list, v any) bool {
	return slices.ContainsFunc(items(list), func(one any) bool { return equal(one, v) })
}

// items are those of an array, or the value alone; none of nothing.
func items(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// flat are the items of all the values.
func flat(values []any) []any {
	all := []any{}
	for _, v := range values {
		all = append(all, items(v)...)
	}
	return all
}

// Words are the items of a value as PowerShell puts them into a string.
func Words(v any) (list []string) {
	for _, one := range items(v) {
		list = append(list, Show(one))
	}
	return list
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case int64:
		return v != 0
	case []any:
		return len(v) > 1 || len(v) == 1 && truth(v[0])
	}
	return true
}

func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		var n int64
		_, _ = fmt.Sscan(v, &n)
		return n
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

func plus(l, r any) any {
	switch l := l.(type) {
	case []any:
		return append(slices.Clone(l), items(r)...)
	case int64:
		return l + number(r)
	case nil:
		return r
	}
	return join(Show(l), Show(r))
}

// join joins two texts, and the halves of a pair of UTF-16 where they meet.
func join(l, r string) string {
	if n := len(l) - 3; n >= 0 && len(r) == 3 && l[n] == 0xED && r[0] == 0xED {
		high, low := wide(l[n:]), wide(r)
		return l[:n] + string(utf16.DecodeRune(high, low))
	}
	return l + r
}

// wide reads the three bytes of a half of a pair.
func wide(s string) rune { return rune(s[0]&0xF)<<12 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F) }

// Show is a value as PowerShell puts it into a string.
func Show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "True"
		}
		return "False"
	case []any:
		return strings.Join(Words(v), " ")
	case time.Time:
		return v.Format("01/02/2006 15:04:05")
	case unit:
		return v.text()
	}
	return fmt.Sprint(v)
}

func format(s string, args []any) string {
	for i, v := range args {
		s = strings.ReplaceAll(s, fmt.Sprintf("{%d}", i), Show(v))
	}
	return s
}

func convert(to string, v any) any {
	switch strings.ToLower(to) {
	case "long", "int":
		return number(v)
	case "bool":
		return truth(v)
	case "char":
		return unit(number(v))
	}
	return v
}

// unit is a UTF-16 unit; two of a pair are joined where they are added.
type unit int64

func (u unit) text() string {
	if utf16.IsSurrogate(rune(u)) {
		return string([]byte{0xE0 | byte(u>>12), 0x80 | byte(u>>6)&0x3F, 0x80 | byte(u)&0x3F})
	}
	return string(rune(u))
}

// property is a member of a value, or those of the items of an array.
func property(v any, name string) any {
	name = strings.ToLower(name)
	switch v := v.(type) {
	case Object:
		if name == "count" {
			return int64(1)
		}
		return v[name]
	case []any:
		if name == "count" || name == "length" {
			return int64(len(v))
		}
		var out []any
		for _, one := range v {
			out = append(out, property(one, name))
		}
		return one(flat(out))
	case string:
		if name == "length" {
			return int64(len(v))
		}
	}
	if name == "count" && v != nil {
		return int64(1)
	}
	if name == "count" {
		return int64(0)
	}
	return nil
}

func (in *Interpreter) method(v any, name string, args []any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, Thrown{"You cannot call a method on a null-valued expression."}
	case string:
		switch strings.ToLower(name) {
		case "startswith":
			return strings.HasPrefix(v, Show(args[0])), nil
		case "substring":
			return v[number(args[0]):], nil
		case "replace":
			return strings.ReplaceAll(v, Show(args[0]), Show(args[1])), nil
		case "indexof":
			return int64(strings.Index(v, Show(args[0]))), nil
		}
	case Object:
		if strings.EqualFold(name, "remove") {
			delete(v, strings.ToLower(Show(args[0])))
			return nil, nil
		}
	case time.Time:
		switch strings.ToLower(name) {
		case "touniversaltime":
			return v.UTC(), nil
		case "adddays":
			return v.AddDate(0, 0, int(number(args[0]))), nil
		case "tounixtimeseconds":
			return v.Unix(), nil
		}
	}
	return in.host.Method(v, name, args)
}

// Base64 is what Convert.ToBase64String makes of bytes.
func Base64(v any) string {
	b, _ := v.([]byte)
	return base64.StdEncoding.EncodeToString(b)
}
