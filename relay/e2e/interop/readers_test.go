//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"slices"
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

// careless are lists that are repaired, and some that only look as if they could be.
var careless = []string{
	`=?utf-8?q?evil=40out=2Eexample=2C?= <a@in.example>`,
	`=?utf-8?b?ZXZpbEBvdXQuZXhhbXBsZSw=?= <a@in.example>, =?utf-7?q?evil+AEA-out.example,?= <b@in.example>`,
	`"evil@out.example" =?utf-8?q?=22?= <a@in.example>`,
	`"evil@out.example" "" <a@in.example>`,
	`.. <a@in.example>`,
	`(=?utf-8?q?=29_evil=40out.example=2C_=28?=) a@in.example`,
	`=?utf-8?q?g=3A_evil=40out.example=2C?=: a@in.example;`,
	`=?utf-8?q?=3D=3Futf-8=3Fq=3Fevil=3D40out.example=2C=3F=3D?= <a@in.example>`,
	`"=?utf-8?q?=22=2C_evil=40out.example=2C_=22?=" <a@in.example>`,
	`=?utf-8?q?M=C3=BCller=2C_evil=40out.example=3B?= <a@in.example>`,
	`=?big5?b?h0A=?= <a@in.example>`,
	`a@in.example (=?utf-8?q?=29=2C_evil=40out.example?=)`,
	`Smith, John <a@in.example>`, `[ALARM] UPS <a@in.example>`, `UPS: rack 3 <a@in.example>`,
	`DOMAIN\svc <a@in.example>`, `"UPS <a@in.example>`, `Alarm a@in.example`, `Alarm <a@in.example`,
	`a@in.example; b@in.example`, `'a@in.example' <a@in.example>, b@in.example`,
	`[Ops] Team <a@in.example>, b@in.example`, `a@in.example ('a@in.example')`,
	`evil@out.example, John <a@in.example>`, `Alarm evil@out.example <a@in.example>`, `"Frop <a@in.example>"`,
	`a..b@in.example, evil@out.example`, `a(evil@out.example)@in.example`, `<a(his account)@in.example>`,
	`<<a@in.example>>`, `UPS <<a@in.example>>`, `mailto:a@in.example`, `UPS <mailto:a@in.example>`,
	`<a@in.example> UPS`, `<a@in.example> UPS (evil@out.example)`, `<a@in.example> evil@out.example`,
	`UPS; rack <a@in.example>`, `a@in.example / b@in.example`, `a@in.example|Ops <b@in.example>`,
	`=?utf-8?Q?=C3=84rger=2C_J=C3=BCrgen?= <a@in.example>`, `"evil@out.example" =?utf-8?Q?=C3=84=2C?= <a@in.example>`,
	`(evil@out.example) =?utf-8?Q?=C3=84=2C?= <a@in.example>`, `=?utf-8?b?w4QsIGV2aWw=?= <a@in.example>`,
}

// pieces are what more of them are made of.
var pieces = []string{" ", ",", `"`, `"`, "(", ")", `\`, "x", "=?utf-8?q?", "?=", "=?utf-8?b?", "=?utf-8?q?=22?=",
	"=?", "\r\n ",
	"\x95\\", "\xc3\xa9", ";", ":", "<", ">", "g:", "[", "<b@in.example>", "=?utf-8?q?=2C?=", "=?utf-8?q?=40x=3E?=",
	"=?utf-8?q?=3Cevil=40out.example=3E?=", "=?iso-2022-jp?b?GyRCQEA=?=", `""`, "..", "'", "x@", "=?utf-8?q?=28?="}

// granted are the authors and recipients of every message of this test.
var granted = []string{"a@in.example", "b@in.example"}

// TestForeignReadersFindNobodyElse: whom our reader does not see in a list, those
// of other people do not find either in the header that is sent, whether they
// decode it before they look for addresses or afterwards.
func TestForeignReadersFindNobodyElse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func() (s string) {
		for range r.IntN(6) {
			s += pieces[r.IntN(len(pieces))]
		}
		return s
	}
	lists := slices.Concat(hidden, careless)
	for range 6_000 {
		evil := []string{"<evil@out.example>", "evil@out.example", " <evil@out.example>, ",
			"=?utf-8?q?evil=40out.example?=", ""}[r.IntN(5)]
		lists = append(lists, some()+evil+some()+[]string{" <a@in.example>", " a@in.example"}[r.IntN(2)]+some())
	}
	for range 3_000 {
		s := careless[r.IntN(len(careless))]
		at := r.IntN(len(s) + 1)
		lists = append(lists, s[:at]+pieces[r.IntN(len(pieces))]+s[at:])
	}
	var blocks [][]byte
	for _, list := range lists {
		blocks = append(blocks, accepted(t, "From: a@in.example\r\nTo: "+list)...)
		blocks = append(blocks, accepted(t, "From: a@in.example\r\nSender: "+list)...)
		blocks = append(blocks, accepted(t, "From: "+list)...)
		blocks = append(blocks, accepted(t, "DKIM-Signature: v=1\r\nFrom: "+list+"\r\nTo: "+list)...)
	}
	if len(blocks) < 2_000 {
		t.Errorf("only %d headers were accepted", len(blocks))
	}
	for _, program := range []*exec.Cmd{
		foreign.Python(t)("testdata/readers.py"), foreign.Perl(t)("testdata/readers.pl"),
	} {
		for i, found := range readBy(t, program, blocks) {
			for name, addresses := range found {
				for _, a := range addresses {
					if isStranger(a) {
						t.Errorf("%s finds %q in %s of\n%s", program.Args, a, name, blocks[i])
					}
				}
			}
		}
	}
}

// isStranger reports whether a reader's address is none of those granted. What
// holds no @ is a name. Mail::Address does not know groups, and puts their names
// before the addresses of their first members.
func isStranger(found string) bool {
	if group, member, ok := strings.Cut(found, ":"); ok && !strings.Contains(group, "@") {
		found = member
	}
	a, err := envelope.ParseAddress(strings.ReplaceAll(found, `"`, ""))
	return strings.Contains(found, "@") && (err != nil || !slices.Contains(granted, a.Key()))
}

// accepted is the header as it is handed on to a and b, repaired, unless it is
// refused or names the other as an author.
func accepted(t *testing.T, header string) [][]byte {
	t.Helper()
	h, _, err := message.Read(strings.NewReader(header+"\r\n\r\n"), message.Options{})
	if err != nil {
		return nil
	}
	h, _ = h.QuoteNames()
	h, _ = h.MendLists()
	authors, err := h.Authors()
	if err != nil {
		return nil
	}
	for _, a := range append(authors.From, authors.Sender) {
		if !a.IsZero() && !slices.Contains(granted, a.Key()) {
			return nil
		}
	}
	var rcpts []envelope.Address
	for _, s := range granted {
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

// readBy asks a program for the addresses of each field.
func readBy(t *testing.T, program *exec.Cmd, blocks [][]byte) (all []map[string][]string) {
	t.Helper()
	var in bytes.Buffer
	for _, b := range blocks {
		in.WriteString(base64.StdEncoding.EncodeToString(b) + "\n")
	}
	program.Stdin = &in
	out, err := program.Output()
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
