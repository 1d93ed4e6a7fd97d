package outcome

import (
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) string { return noon.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0}, {"0", "", 0}, {"1", "", time.Second}, {" 120 ", "", 2 * time.Minute}, {"3600",
			"", time.Hour}, {"3601", "", time.Hour},
		{"99999999999999999999999", "", time.Hour}, {"-5", "", 0}, {"1.5", "", 0}, {"soon", "", 0}, {"5 seconds",
			"", 0}, {"+5", "", 0},
		{date(10 * time.Second), "", 10 * time.Second},
		{noon.Add(time.Minute).Format(time.RFC850), "", time.Minute},
		{noon.Add(time.Minute).Format(time.ANSIC), "", time.Minute},
		{date(-time.Minute), "", 0},
		{date(240 * time.Hour), "", time.Hour},
		{"Sun, 31 Dec 9999 23:59:59 GMT", "", time.Hour},
		{date(10 * time.Second), date(-20 * time.Second), 30 * time.Second}, // the server's clock counts
		{date(10 * time.Second), "garbage", 10 * time.Second},
	} {
		if got := retryAfter(c.value, c.date, noon); got != c.want {
			t.Errorf("%q, date %q: %v, want %v", c.value, c.date, got, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "99999999999999999999", "-1", noon.Format(http.TimeFormat),
		"Sun, 31 Dec 9999 23:59:59 GMT", "\x00"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		if d := retryAfter(value, date, noon); d < 0 || d > maxRetryAfter {
			t.Fatal(d)
		}
	})
}
