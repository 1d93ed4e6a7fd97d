package operator

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Sought reads what somebody typed to find messages, in a command or in the console: a
// queue ID, or whatever spool.Filter.Find takes, or a day, or one word and a day. It
// is pure.
func Sought(text string, f spool.Filter, now time.Time) (envelope.QueueID, spool.Filter) {
	text = strings.TrimSpace(text)
	if id, err := envelope.ParseQueueID(text); err == nil {
		return id, f
	}
	words := strings.Fields(text)
	if n := len(words); n > 0 && n <= 2 {
		if day, err := ParseDay(words[n-1], now); err == nil {
			f.Since, f.Until = day, day.AddDate(0, 0, 1)
			text = strings.TrimSpace(strings.TrimSuffix(text, words[n-1]))
		}
	}
	f.Find = text
	return "", f
}

// Lookup is what a search asks: the Store's List, or the admin socket's.
type Lookup[T any] func(spool.Filter) ([]T, error)

// Widen returns the filter for a search. An address that no message has as a whole
// may be a part of one, as in "son@example.org".
func Widen[T any](f spool.Filter, list Lookup[T]) (spool.Filter, error) {
	if _, err := envelope.ParseAddress(f.Find); err != nil {
		return f, nil
	}
	one := f
	one.After, one.Limit = "", 1
	found, err := list(one)
	if err == nil && len(found) == 0 {
		f.Find, f.Part = "", f.Find
	}
	return f, err
}

// ParseDay reads a day in the zone of now: today, yesterday or a date.
func ParseDay(s string, now time.Time) (time.Time, error) {
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch strings.ToLower(s) {
	case "today":
		return today, nil
	case "yesterday":
		return today.AddDate(0, 0, -1), nil
	}
	return time.ParseInLocation(time.DateOnly, s, now.Location())
}

// ParseMoment reads a moment in the zone of now, where it has none of its own: a day
// (its beginning), a date with a time of day, a time of today, RFC 3339, as the commands
// and the console print it, or how long ago it was.
func ParseMoment(s string, now time.Time) (time.Time, error) {
	if day, err := ParseDay(s, now); err == nil {
		return day, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05 -07:00", "2006-01-02 15:04:05 MST",
		"2006-01-02 15:04:05",
		"2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if day, clock, ok := strings.Cut(s, " "); ok || strings.Contains(s, ":") {
		if !ok {
			day, clock = "today", s
		}
		at, err := time.Parse("15:04", clock)
		if begin, dayErr := ParseDay(day, now); cmp.Or(err, dayErr) == nil {
			y, m, d := begin.Date()
			return time.Date(y, m, d, at.Hour(), at.Minute(), 0, 0, now.Location()), nil
		}
	}
	if span, err := ParseSpan(s); err == nil {
		return now.Add(-span), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a date or time; write 2026-01-31, \"2026-01-31 14:00\", yesterday, "+
		"or how long ago: 30m, 4h, 2d", s)
}

// ParseSpan reads a time as in 30m, 4h, 2d or 1d12h.
func ParseSpan(s string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a time; write a number with s, m, h or d, as in 30m, 4h or 2d", s)
	var days time.Duration
	rest := s
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 36500 {
			return 0, wrong
		}
		days, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest == "" && s != "" {
		return days, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, wrong
	}
	return days + d, nil
}
