package powershell

import (
	"errors"
	"fmt"
	"strings"
)

// Host does what is outside of the language.
type Host interface {
	// Cmdlet runs a cmdlet. A value that stands alone has the name "".
	Cmdlet(name string, args Args) ([]any, error)
	// Program runs a program, and returns its exit code.
	Program(path string, args []any) int
	// Static is a static member of .NET, or the result of a static method.
	Static(of, name string, args []any) (any, error)
	// Method is the result of a method of a value that the language does not know.
	Method(of any, name string, args []any) (any, error)
}

// Args are the arguments of a cmdlet, by name in lower case.
type Args map[string]any

// Object is a value with properties, by name in lower case.
type Object map[string]any

// Thrown is an error of the script.
type Thrown struct{ Message string }

func (t Thrown) Error() string { return t.Message }

// Stop is an error that no catch of the script sees: the test is over.
type Stop struct{ error }

type returned struct{ out []any }

func (returned) Error() string { return "return" }

type exited struct{ code int }

func (exited) Error() string { return "exit" }

type scope struct {
	up   *scope
	vars map[string]any
}

// Interpreter runs one script in one process.
type Interpreter struct {
	host      Host
	functions map[string]function
	now       *scope
	caught    string
}

// Run runs a script with parameters and with variables that are there from the
// start, and returns its exit code. An error is one of the script that nothing
// caught, or a Stop.
func Run(s *Script, host Host, params map[string]any, automatic map[string]any) (int, error) {
	in := &Interpreter{host: host, functions: map[string]function{}, now: &scope{vars: map[string]any{}}}
	for name, v := range automatic {
		in.set(name, v)
	}
	for _, one := range s.params {
		v, err := in.value(orNil(one.preset))
		if err != nil {
			return 1, err
		}
		if given, ok := params[one.name]; ok {
			v = given
		}
		in.set(one.name, v)
	}
	_, err := in.run(s.body)
	var code exited
	switch {
	case errors.As(err, &code):
		return code.code, nil
	case errors.As(err, &returned{}):
		return 0, nil
	case err != nil:
		return 1, err
	}
	return 0, nil
}

func orNil(n Node) Node {
	if n == nil {
		return literal{}
	}
	return n
}

func (in *Interpreter) get(name string) any {
	name = strings.ToLower(name)
	switch name {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	for s := in.now; s != nil; s = s.up {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return nil
}

func (in *Interpreter) set(name string, v any) {
	if strings.ToLower(name) != "null" {
		in.now.vars[strings.ToLower(name)] = v
	}
}

// run runs statements, and returns what they put out.
func (in *Interpreter) run(body []Node) (out []any, err error) {
	for _, n := range body {
		values, err := in.statement(n)
		out = append(out, values...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (in *Interpreter) statement(n Node) ([]any, error) {
	switch n := n.(type) {
	case assign:
		return nil, in.assign(n)
	case increment:
		v, err := in.value(n.of)
		if err == nil {
			err = in.store(n.of, number(v)+1)
		}
		return nil, err
	case ifNode:
		for i, test := range n.tests {
			v, err := in.value(test)
			if err != nil {
				return nil, err
			}
			if truth(v) {
				return in.run(n.bodies[i])
			}
		}
		return in.run(n.other)
	case foreach, while:
		return in.loop(n)
	case try:
		out, err := in.run(n.body)
		var thrown Thrown
		if !errors.As(err, &thrown) {
			return out, err
		}
		before := in.get("_")
		in.caught = thrown.Message
		in.set("_", thrown.Message)
		more, err := in.run(n.catch)
		in.set("_", before)
		return append(out, more...), err
	case leave:
		return nil, in.leave(n)
	case function:
		in.functions[strings.ToLower(n.name)] = n
		return nil, nil
	}
	return in.output(n)
}

func (in *Interpreter) loop(n Node) (out []any, err error) {
	if n, ok := n.(foreach); ok {
		v, err := in.value(n.in)
		if err != nil {
			return nil, err
		}
		for _, one := range items(v) {
			in.set(n.name, one)
			more, err := in.run(n.body)
			out = append(out, more...)
			if err != nil {
				return out, err
			}
		}
		return out, nil
	}
	w := n.(while)
	for range 10000 {
		v, err := in.value(w.test)
		if err != nil || !truth(v) {
			return out, err
		}
		more, err := in.run(w.body)
		out = append(out, more...)
		if err != nil {
			return out, err
		}
	}
	return out, Halt("a loop does not end")
}

func (in *Interpreter) leave(n leave) error {
	var out []any
	if n.with != nil {
		var err error
		if out, err = in.output(n.with); err != nil {
			return err
		}
	}
	switch n.word {
	case "return":
		return returned{out}
	case "exit":
		return exited{int(number(one(out)))}
	}
	if n.with == nil {
		return Thrown{in.caught}
	}
	return Thrown{Show(one(out))}
}

func (in *Interpreter) assign(n assign) error {
	v, err := in.value(n.from)
	if err != nil {
		return err
	}
	if n.op == "+=" {
		old, err := in.value(n.to)
		if err != nil {
			return err
		}
		v = plus(old, v)
	}
	return in.store(n.to, v)
}

func (in *Interpreter) store(to Node, v any) error {
	switch to := to.(type) {
	case variable:
		in.set(to.name, v)
		return nil
	case static:
		return nil // settings of .NET
	case member:
		of, err := in.value(to.of)
		if err != nil {
			return err
		}
		if o, ok := of.(Object); ok {
			o[strings.ToLower(to.name)] = v
			return nil
		}
	}
	return Stop{fmt.Errorf("cannot assign to %T", to)}
}

// value is what an expression, or the output of a command, is.
func (in *Interpreter) value(n Node) (any, error) {
	out, err := in.output(n)
	return one(out), err
}

func one(out []any) any {
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return out
}

// function calls one of the script with its arguments.
func (in *Interpreter) call(f function, args []Argument) ([]any, error) {
	inner := &scope{up: in.now, vars: map[string]any{}}
	for i, p := range f.params {
		var v any
		if i < len(args) {
			var err error
			if v, err = in.value(args[i].value); err != nil {
				return nil, err
			}
		}
		inner.vars[strings.ToLower(p.name)] = v
	}
	if len(args) > len(f.params) {
		return nil, Stop{fmt.Errorf("%s has no place for %d arguments", f.name, len(args))}
	}
	return in.within(inner, f.body)
}

// within runs statements in a scope of their own.
func (in *Interpreter) within(s *scope, body []Node) ([]any, error) {
	outer := in.now
	in.now = s
	out, err := in.run(body)
	in.now = outer
	var back returned
	if errors.As(err, &back) {
		return append(out, back.out...), nil
	}
	return out, err
}

// Halt is a Stop with a text.
func Halt(text string) error { return Stop{errors.New(text)} }
