package config

import (
	"strings"
	"testing"

	"graphrelay/relay/costtest"
)

// No file costs more than its length, however many mistakes it has.
func TestCostOfFiles(t *testing.T) {
	read := func(in string) { _, _ = Parse("f", []byte(in), "/base") }
	for name, line := range map[string]string{
		"the same key":        "queue: {}\n",
		"the same unknown":    "x: 1\n",
		"clients":             "clients: [{name: a, networks: [10.0.0.1], senders: [a@b.example]}]\n",
		"tags and references": "a: &b !!c *b\n",
		"flow lists":          "a: [[[[\n",
		"quotes":              "\"a\n",
	} {
		costtest.Shape(t, name, func(size int) string { return strings.Repeat(line, size/len(line)) }, read)
	}
	for name, items := range map[string]string{
		"clients in a list": "\n - {name: a, networks: [10.0.0.1], senders: [a@b.example]}",
		"senders":           "\n - a@b.example",
		"aliases":           "\n - x",
	} {
		for _, key := range []string{"clients:", "senders:", "aliases:", "denied_senders:"} {
			costtest.Shape(t, name+" under "+key, func(size int) string {
				return key + strings.Repeat(items, size/len(items)) + "\n"
			}, read)
		}
	}
	costtest.Shape(t, "the same key in a section", func(size int) string {
		return "smtp:\n" + strings.Repeat("  hostname: a\n", size/14)
	}, read)
	costtest.Shape(t, "different unknown keys", func(size int) string {
		var b strings.Builder
		for i := range size / 8 {
			b.WriteString("k")
			b.WriteString(strings.Repeat("a", i%3))
			b.WriteByte(byte('a' + i%26))
			b.WriteString(": 1\n")
		}
		return b.String()
	}, read)
}
