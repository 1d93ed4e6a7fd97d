package sandbox

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// parseFilter reads the part of OData's $filter that mail programs need: terms
// joined by and, each internetMessageId eq '...', isDraft eq true,
// receivedDateTime ge a time, or an extended property with a value [D singlevaluelegacyextendedproperty-get]. Anything
// else is an error, never ignored: a filter that does not filter would find
// too much.
func parseFilter(filter string) (func(mailItem) bool, error) {
	if filter == "" {
		return func(mailItem) bool { return true }, nil
	}
	var terms []func(mailItem) bool
	for rest := filter; ; {
		term, after, err := parseTerm(rest)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
		if after == "" {
			break
		}
		var joined bool
		if rest, joined = strings.CutPrefix(after, " and "); !joined {
			return nil, fmt.Errorf("invalid filter clause: '%s'", filter)
		}
	}
	return func(it mailItem) bool {
		for _, term := range terms {
			if !term(it) {
				return false
			}
		}
		return true
	}, nil
}

// literal is a string of OData, in which an apostrophe is doubled.
const literal = `'((?:[^']|'')*)'`

var (
	byMessageID = regexp.MustCompile(`^internetMessageId eq ` + literal)
	byDraft     = regexp.MustCompile(`^isDraft eq (true|false)`)
	byReceived  = regexp.MustCompile(`^receivedDateTime ge ([0-9T:.Z-]+)`)
	byProperty  = regexp.MustCompile(`^singleValueExtendedProperties/Any\(ep: ep/id eq ` + literal +
		` and ep/value eq ` + literal + `\)`)
)

func parseTerm(s string) (term func(mailItem) bool, rest string, err error) {
	if m := byMessageID.FindStringSubmatch(s); m != nil {
		want := fold(unquoteOData(m[1]))
		return func(it mailItem) bool { return fold(it.messageID) == want }, s[len(m[0]):], nil
	}
	if m := byDraft.FindStringSubmatch(s); m != nil {
		want := m[1] == "true"
		return func(it mailItem) bool { return it.draft == want }, s[len(m[0]):], nil
	}
	if m := byProperty.FindStringSubmatch(s); m != nil {
		id, want := unquoteOData(m[1]), unquoteOData(m[2])
		return func(it mailItem) bool { value, ok := it.properties[id]; return ok && value == want }, s[len(m[0]):], nil
	}
	if m := byReceived.FindStringSubmatch(s); m != nil {
		since, err := time.Parse(time.RFC3339, m[1])
		return func(it mailItem) bool { return !it.received.IsZero() && !it.received.Before(since) }, s[len(m[0]):], err
	}
	return nil, "", fmt.Errorf("invalid filter clause: '%s'", s)
}

func unquoteOData(s string) string { return strings.ReplaceAll(s, "''", "'") }
