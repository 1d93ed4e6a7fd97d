// Package powershell reads and runs the part of PowerShell in which `graphrelay
// setup` writes its scripts, for tests of them: statements, functions, pipelines,
// cmdlets with named parameters, strings with values, and the operators that they
// use. What it does not know is an error, so that nothing is passed over; what
// PowerShell itself refuses, such as a variable that a colon follows in a string,
// is an error, too. What the cmdlets do is a Host's.
package powershell

import "fmt"

// Node is a statement or an expression.
type Node interface{}

type (
	assign struct {
		to   Node
		op   string // = or +=
		from Node
	}
	ifNode struct {
		tests  []Node
		bodies [][]Node
		other  []Node
	}
	foreach struct {
		name string
		in   Node
		body []Node
	}
	while struct {
		test Node
		body []Node
	}
	try   struct{ body, catch []Node }
	leave struct { // throw, return, exit
		word string
		with Node
	}
	function struct {
		name   string
		params []param
		body   []Node
	}
	param struct {
		name   string
		preset Node
	}
	pipeline struct{ stages []Node }
)

type (
	literal  struct{ v any }
	variable struct{ name string }
	text     struct{ parts []Node }
	list     struct{ items []Node }
	array    struct{ body []Node } // @( )
	sub      struct{ body []Node } // $( )
	table    struct {
		keys   []string
		values []Node
	}
	block  struct{ body []Node }
	member struct {
		of   Node
		name string
	}
	call struct {
		of   Node
		name string
		args []Node
	}
	index  struct{ of, at Node }
	static struct { // [Type]::Name, or [Type]::Name(args)
		of, name string
		args     []Node
	}
	cast struct {
		to string
		v  Node
	}
	unary struct {
		op string
		v  Node
	}
	binary struct {
		op   string
		l, r Node
	}
	increment struct{ of Node }
)

// Command is a cmdlet, a function or a program with its arguments.
type Command struct {
	Line   int
	Text   string // as it is written, with its arguments
	Name   string // empty for & EXPRESSION
	target Node
	Args   []Argument
}

// Argument is a named parameter, or a value that stands alone.
type Argument struct {
	Name  string // without the dash; empty for a value alone
	value Node   // nil for a switch
}

// SyntaxError is what PowerShell, or this package, does not understand.
type SyntaxError struct {
	Line int
	What string
}

func (e SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }
