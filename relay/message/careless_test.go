package message

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/message/charset"
)

// naiveDecoded decodes encoded words first, as readers do that show a list before
// they read it.
func naiveDecoded(value string) []string { return naive(charset.DecodeWords(value)) }

// Whatever a device writes, with every repair on: if it is accepted, nobody finds
// other authors or recipients than those of the envelope, in whatever order the
// field is decoded and read.
func TestRepairedFieldsNameNobodyElse(t *testing.T) {
	granted := addrs(t, "a@in.example b@in.example")
	pieces := []string{" ", ",", `"`, `"`, "(", ")", `\`, "x", "=?utf-8?q?", "?=", "=?utf-8?b?", "=?utf-8?q?=22?=",
		"=?",
		"\r\n ", "\xc3\xa9", ";", ":", "<", ">", "g:", "[", "'", "<b@in.example>", "=?utf-8?q?=2C?=",
		`""`, "..",
		"=?utf-8?q?=3Cevil=40out.example=3E?=", "=?utf-8?q?=28?=", "evil@out.example", "<evil@out.example>",
		"Smith, John",
		" <a@in.example>", " a@in.example", "=?utf-8?q?evil=40out.example=2C?=", "undisclosed-recipients", "<>"}
	r := rand.New(rand.NewPCG(3, 4))
	kept := 0
	for range 5_000 {
		var list string
		for range 1 + r.IntN(8) {
			list += pieces[r.IntN(len(pieces))]
		}
		for _, name := range []string{"From", "Sender", "To"} {
			in := name + ": " + list + "\r\n"
			if name != "From" {
				in += "From: a@in.example\r\n"
			}
			h, _, err := Read(strings.NewReader(in+"\r\n"), Options{})
			if err != nil {
				continue
			}
			h, _ = h.QuoteNames()
			h, _ = h.MendLists()
			a, err := h.Authors()
			if err != nil || len(a.From) == 0 || !allowed(a, keys(granted)) {
				continue
			}
			kept++
			checkApply(t, h, edits(granted))
			out, _, _ := h.Apply(edits(granted))
			checkEveryField(t, in, mustRead(t, out), keys(granted))
		}
	}
	if kept < 1_000 {
		t.Errorf("only %d fields were accepted", kept)
	}
}

func allowed(a Authors, granted map[string]bool) bool {
	for _, f := range append(slices.Clone(a.From), a.Sender) {
		if !f.IsZero() && !granted[f.Key()] {
			return false
		}
	}
	return true
}

func checkEveryField(t *testing.T, in string, h *Header, granted map[string]bool) {
	t.Helper()
	for _, f := range h.fields {
		if !f.isAuthor() && !f.isRecipient() {
			continue
		}
		v := string(h.value(f))
		for _, s := range slices.Concat(naive(v), naiveByLine(v), naiveByWord(v), naiveDecoded(v)) {
			if !granted[keyOf(s)] {
				t.Errorf("a naive reader finds %q in %q of %q", s, v, in)
			}
		}
	}
}
