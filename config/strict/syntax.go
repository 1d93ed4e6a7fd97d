package strict

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of what is given to the YAML parser. It needs memory in the square of
// the nesting (100 KB of "[" took more than 5 GB) and time in the square of
// the keys of one section (15,000 took 3 s).
const (
	MaxFile   = 1 << 20 // bytes
	maxTokens = 50_000  // an entry "- address: a@b" is four
	maxFlow   = 16      // brackets within brackets
	maxColumn = 200     // of a key or a dash outside brackets
)

// inLine is a mistake of the file's form, before there are keys.
func inLine(line int, text string, f *Fault) *Problem {
	return &Problem{Line: line, Wrong: f.wrong, Text: text, Remedy: f.remedy}
}

// parse returns the one document of a file; least is what to write into an
// empty one. The library is used for its syntax tree only: aliases, merges and
// tags in it are kept, and refused when the tree is walked.
func parse(data []byte, least string) (ast.Node, *Problem) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if p := checkBytes(data); p != nil {
		return nil, p
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	lines := strings.Split(text, "\n")
	tokens, file, err := runParser(text)
	if t, f := excess(tokens); t != nil {
		return nil, inLine(lineOf(t), lineText(lines, lineOf(t)), f)
	}
	if err != nil {
		return nil, syntaxFault(err, lines)
	}
	return onlyDocument(file, lines, least)
}

// checkBytes refuses what is not text, and tabs where YAML counts spaces.
func checkBytes(data []byte) *Problem {
	if len(data) > MaxFile {
		return inLine(1, "", Bad("file is larger than 1 MiB", "write less; a configuration has a few hundred lines"))
	}
	for i, raw := range bytes.Split(data, []byte("\n")) {
		line := string(bytes.TrimSuffix(raw, []byte("\r")))
		if f := checkLine(line); f != nil {
			return inLine(i+1, strings.TrimSpace(line), f)
		}
	}
	return nil
}

func checkLine(line string) *Fault {
	if !utf8.ValidString(line) {
		return Bad("line is not UTF-8", "save the file as UTF-8")
	}
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return Bad(fmt.Sprintf("line contains the control character %U", c), "remove it")
		}
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if strings.Contains(indent, "\t") {
		return Bad("line is indented with a tab", "use spaces instead")
	}
	return nil
}

// runParser runs the library. It has panicked on odd input before; a mistake in a
// file must not end a daemon that is being reloaded.
func runParser(text string) (tokens token.Tokens, file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("YAML parser gave up: %v", r)
		}
	}()
	tokens = lexer.Tokenize(text)
	if t, _ := excess(tokens); t != nil {
		return tokens, nil, nil
	}
	file, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	return tokens, file, err
}

// excess returns the token at which the file becomes more than any
// configuration needs, and than the parser can bear; nil if it does not.
func excess(tokens token.Tokens) (*token.Token, *Fault) {
	depth := 0
	for i, t := range tokens {
		switch t.Type {
		case token.MappingKeyType:
			return t, Bad("has a key after a question mark", "write KEY: VALUE")
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxFlow || depth <= 0 && isDeep(t) {
			return t, Bad("is nested too deeply", "write it as in the example configuration")
		}
		if i == maxTokens {
			return t, Bad("file has more than 50,000 words", "write fewer entries")
		}
	}
	return nil, nil
}

// isDeep reports whether t is a key or a dash too far to the right.
func isDeep(t *token.Token) bool {
	structure := t.Type == token.SequenceEntryType || t.Type == token.MappingValueType
	return structure && t.Position.Column > maxColumn
}

// syntaxFault puts the library's message into our form; it quotes the line
// itself, because the library's own excerpt is many lines long.
func syntaxFault(err error, lines []string) *Problem {
	line, message := 1, err.Error()
	var e yaml.Error
	if errors.As(err, &e) {
		line, message = lineOf(e.GetToken()), e.GetMessage()
	}
	for _, n := range []int{line, line - 1} {
		if f := lookalikeIn(lines, n); f != nil {
			return inLine(n, lineText(lines, n), f)
		}
	}
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	return inLine(line, lineText(lines, line), Bad("is not valid YAML: "+cut(message, 120), syntaxRemedy(message)))
}

// lookalikeIn names a character of a line that may be why YAML does not
// understand it.
func lookalikeIn(lines []string, n int) *Fault {
	if n < 1 || n > len(lines) || strings.HasPrefix(strings.TrimSpace(lines[n-1]), "#") {
		return nil
	}
	return lookalike(lines[n-1])
}

func syntaxRemedy(message string) string {
	switch {
	case strings.Contains(message, "reserved character"):
		return `write quotes around the text, as in "@text"`
	case strings.Contains(message, "not allowed in this context"):
		return "align the keys of a section, and write quotes around a text that contains a colon and a space"
	case strings.Contains(message, "end character"):
		return "write the closing quote"
	}
	return "write it as in the example configuration"
}

func onlyDocument(file *ast.File, lines []string, least string) (ast.Node, *Problem) {
	var body ast.Node
	for i, doc := range file.Docs {
		if i > 0 && doc.Start != nil {
			n := lineOf(doc.Start)
			return nil, inLine(n, lineText(lines, n),
				Bad("a second YAML document or a directive",
					"write one document, without lines that begin with --- or %"))
		}
		if doc.Body != nil {
			body = doc.Body
		}
	}
	if body == nil {
		return nil, inLine(1, "", Bad("file is empty", least))
	}
	return body, nil
}

// lineOf returns a token's line, from 1.
func lineOf(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 1
	}
	return max(1, t.Position.Line)
}

// lineText is a line for a message, or "" if it may hold a secret.
func lineText(lines []string, n int) string {
	if n > len(lines) || strings.Contains(lines[n-1], "secret") || strings.Contains(lines[n-1], "password") {
		return ""
	}
	return hidePassword(strings.TrimSpace(lines[n-1]))
}
