package operator_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

func TestSought(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, 2, 1, 0, 30, 0, 0, berlin) // still January in UTC
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, berlin) }
	for text, want := range map[string]struct {
		id, find     string
		since, until time.Time
	}{
		" 06hhgq2g00dcrdpj ":             {id: "06hhgq2g00dcrdpj"},
		"customer@example.org":           {find: "customer@example.org"},
		"yesterday":                      {since: day(31), until: day(32)},
		"Today":                          {since: day(32), until: day(33)},
		"2026-01-15":                     {since: day(15), until: day(16)},
		"customer@example.org yesterday": {find: "customer@example.org", since: day(31), until: day(32)},
		"backup failed today":            {find: "backup failed today"}, // a subject
		"":                               {},
	} {
		id, f := operator.Sought(text, spool.Filter{Newest: true}, now)
		if string(id) != want.id || f.Find != want.find || !f.Since.Equal(want.since) || !f.Until.Equal(want.until) ||
			!f.Newest {
			t.Errorf("%q: %q %+v, want %+v", text, id, f, want)
		}
	}
}

func TestParseMomentReadsWhatIsPrinted(t *testing.T) {
	zone := time.FixedZone("", 5*3600+1800)
	now := time.Date(2026, 2, 1, 12, 0, 5, 0, zone)
	for in, want := range map[string]time.Time{
		now.Format(time.RFC3339):                 now,
		now.Format("2006-01-02 15:04:05 -07:00"): now, // as the console prints it
		"2026-01-31 14:30:15":                    time.Date(2026, 1, 31, 14, 30, 15, 0, zone),
		"yesterday":                              time.Date(2026, 1, 31, 0, 0, 0, 0, zone),
		"yesterday 14:30":                        time.Date(2026, 1, 31, 14, 30, 0, 0, zone),
		"08:15":                                  time.Date(2026, 2, 1, 8, 15, 0, 0, zone),
		"90m":                                    now.Add(-90 * time.Minute),
	} {
		if got, err := operator.ParseMoment(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "tomorrow", "25:00", "yesterday 25:00", "1 2", ":"} {
		got, err := operator.ParseMoment(in, now)
		if err == nil || !strings.Contains(err.Error(), "yesterday, or how long") {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

// An address that no message has as a whole is looked for as a part of one.
func TestWiden(t *testing.T) {
	for find, has := range map[string]bool{"son@example.org": false, "anderson@example.org": true} {
		f, err := operator.Widen(spool.Filter{Find: find, After: "x", Limit: 7}, func(f spool.Filter) ([]int, error) {
			if f.After != "" || f.Limit != 1 {
				t.Errorf("asked for %+v", f)
			}
			if has {
				return []int{1}, nil
			}
			return nil, nil
		})
		if err != nil || (f.Find == find) != has || (f.Part == find) == has || f.After != "x" || f.Limit != 7 {
			t.Errorf("%s: %+v, %v", find, f, err)
		}
	}
}
