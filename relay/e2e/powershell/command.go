package powershell

import (
	"errors"
	"fmt"
	"strings"
)

// output is what an expression or a pipeline puts out: an array is its items.
func (in *Interpreter) output(n Node) ([]any, error) {
	switch n := n.(type) {
	case pipeline:
		return in.pipe(n)
	case *Command:
		return in.command(n, nil)
	}
	v, err := in.eval(n)
	if v == nil || err != nil {
		return nil, err
	}
	return []any{v}, nil
}

func (in *Interpreter) pipe(n pipeline) ([]any, error) {
	out, err := in.output(n.stages[0])
	if err != nil {
		return nil, err
	}
	for _, stage := range n.stages[1:] {
		cmd, ok := stage.(*Command)
		if !ok {
			return nil, Halt("a pipeline goes into an expression")
		}
		if out, err = in.command(cmd, flat(out)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// command runs a cmdlet, a function, a program or a block.
func (in *Interpreter) command(c *Command, input []any) ([]any, error) {
	switch strings.ToLower(c.Name) {
	case "where-object":
		return in.where(c, input)
	case "select-object": // -Last 1
		return input[max(0, len(input)-1):], nil
	case "format-list", "format-table":
		return nil, nil
	case "":
		return in.invoke(c)
	}
	if f, ok := in.functions[strings.ToLower(c.Name)]; ok {
		return in.call(f, c.Args)
	}
	args, err := in.args(c)
	if err != nil {
		return nil, err
	}
	quiet := Show(args["erroraction"]) == "SilentlyContinue"
	delete(args, "erroraction")
	out, err := in.host.Cmdlet(c.Name, args)
	var thrown Thrown
	if quiet && errors.As(err, &thrown) {
		return nil, nil
	}
	if err != nil && !errors.As(err, &Stop{}) && !errors.As(err, &thrown) {
		err = Thrown{err.Error()}
	}
	return out, err
}

func (in *Interpreter) where(c *Command, input []any) (out []any, err error) {
	test, ok := c.Args[0].value.(block)
	if !ok {
		return nil, Halt("Where-Object without a block")
	}
	before := in.get("_")
	defer func() { in.set("_", before) }()
	for _, v := range input {
		in.set("_", v)
		result, err := in.run(test.body)
		if err != nil {
			return nil, err
		}
		if truth(one(result)) {
			out = append(out, v)
		}
	}
	return out, nil
}

// invoke is the operator &.
func (in *Interpreter) invoke(c *Command) ([]any, error) {
	target, err := in.value(c.target)
	if err != nil {
		return nil, err
	}
	if b, ok := target.(block); ok {
		return in.within(&scope{up: in.now, vars: map[string]any{}}, b.body)
	}
	var words []any
	for _, a := range c.Args {
		if a.Name != "" {
			words = append(words, "-"+a.Name)
		}
		if a.value == nil {
			continue
		}
		v, err := in.value(a.value)
		if err != nil {
			return nil, err
		}
		words = append(words, items(v)...)
	}
	in.set("LASTEXITCODE", int64(in.host.Program(Show(target), words)))
	return nil, nil
}

func (in *Interpreter) args(c *Command) (Args, error) {
	args := Args{}
	for _, a := range c.Args {
		name := strings.ToLower(a.Name)
		if _, twice := args[name]; twice {
			return nil, Stop{fmt.Errorf("line %d: %s has the parameter %q twice", c.Line, c.Name, a.Name)}
		}
		if a.value == nil {
			args[name] = true
			continue
		}
		v, err := in.value(a.value)
		if err != nil {
			return nil, err
		}
		args[name] = v
	}
	return args, nil
}
