//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
)

// hidden are lists in which one reader or another sees evil@out.example where
// the others see text.
var hidden = []string{
	`=?utf-8?q?"?= <evil@out.example>, =?utf-8?q?"?= <a@in.example>`,
	`"a =?utf-8?q?" <a@in.example>, x?= "evil@out.example" <b@in.example>`,
	"\"x\r\n <evil@out.example>, \" <a@in.example>",
	"\"x\r\n y\" <a@in.example>, \"evil@out.example\" <b@in.example>",
	"(x\r\n \" y) <a@in.example>, \"evil@out.example\" <b@in.example>",
	"g: \"evil@out.example\r\n \" <a@in.example>;",
	`<@out.example,evil@out.example:a@in.example>`,
	`evil@out.example <a@in.example>`,
	`a@in.example (evil@out.example)`,
}

// pieces are what more of them are made of.
var pieces = []string{" ", ",", `"`, `"`, "(", ")", `\`, "x", "=?utf-8?q?", "?=", "=?utf-8?b?", "=?utf-8?q?=22?=",
	"=?", "\r\n ",
	"\x95\\", "\xc3\xa9", ";", ":", "<", ">", "g:", "[", "<b@in.example>"}

// TestPythonFindsNobodyElse: whom our reader does not see in a list, those of
// other people do not find either in the header that is handed on.
func TestPythonFindsNobodyElse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func() (s string) {
		for range r.IntN(6) {
			s += pieces[r.IntN(len(pieces))]
		}
		return s
	}
	lists := hidden
	for range 6_000 {
		evil := []string{"<evil@out.example>", "evil@out.example", " <evil@out.example>, "}[r.IntN(3)]
		lists = append(lists, some()+evil+some()+" <a@in.example>"+some())
	}
	var blocks [][]byte
	for _, list := range lists {
		blocks = append(blocks, accepted(t, "From: a@in.example\r\nTo: "+list)...)
		blocks = append(blocks, accepted(t, "From: "+list)...)
	}
	if len(blocks) < 500 {
		t.Errorf("only %d headers were accepted", len(blocks))
	}
	for i, found := range byPython(t, blocks) {
		for name, addresses := range found {
			for _, a := range addresses {
				if strings.HasPrefix(a, "evil@") {
					t.Errorf("Python finds %q in %s of\n%s", a, name, blocks[i])
				}
			}
		}
	}
}

// accepted is the header as it is handed on to a and b, unless it is refused or
// names the other as an author.
func accepted(t *testing.T, header string) [][]byte {
	t.Helper()
	h, _, err := message.Read(strings.NewReader(header+"\r\n\r\n"), message.Options{})
	if err != nil {
		return nil
	}
	authors, err := h.Authors()
	if err != nil || strings.Contains(fmt.Sprint(authors.From), "evil") {
		return nil
	}
	var rcpts []envelope.Address
	for _, s := range []string{"a@in.example", "b@in.example"} {
		a, err := envelope.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		rcpts = append(rcpts, a)
	}
	block, _, err := h.Apply(message.Edits{Recipients: rcpts})
	if err != nil {
		t.Errorf("%q: %v", header, err)
	}
	return [][]byte{block}
}

// byPython asks for the addresses of each field.
func byPython(t *testing.T, blocks [][]byte) (all []map[string][]string) {
	t.Helper()
	var in bytes.Buffer
	for _, b := range blocks {
		in.WriteString(base64.StdEncoding.EncodeToString(b) + "\n")
	}
	cmd := foreign.Python(t)("testdata/readers.py")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var found map[string][]string
		if err := json.Unmarshal(lines.Bytes(), &found); err != nil {
			t.Fatal(err)
		}
		all = append(all, found)
	}
	if len(all) != len(blocks) {
		t.Fatalf("%d answers for %d headers", len(all), len(blocks))
	}
	return all
}
