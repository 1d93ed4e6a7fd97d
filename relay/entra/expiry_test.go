package entra

import (
	"strings"
	"testing"
	"time"
)

func TestExpiryStage(t *testing.T) {
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]int{
		31 * day: -1, 30 * day: 30, 15 * day: 30, 14 * day: 14, 8 * day: 14,
		7 * day: 7, 3*day + 1: 7, 3 * day: 3, 25 * time.Hour: 3, day: 1, 1: 1, 0: 0, -day: 0,
	} {
		if got := expiryStage(noon, noon.Add(left)); got != want {
			t.Errorf("%v left: %d, want %d", left, got, want)
		}
	}
	if got := expiryStage(noon, time.Time{}); got != -1 {
		t.Errorf("nobody knows: %d", got)
	}
}

// What the operator reads has the date, what is left, and what to do.
func TestExpiryText(t *testing.T) {
	end := noon.AddDate(0, 0, 40)
	for days, want := range map[int][3]string{
		9: {"", "", ""}, 10: {"30 days", "in 30 days; ", "into client_secret_file"}, 27: {"14 days", "in 13 days; ",
			""}, 39: {"1 days", "in 24 hours; ", ""}, 40: {Expired, "secret expired on ", ""},
	} {
		stage, text := CredentialInfo{Kind: KindSecret, NotAfter: end}.Expiry(noon.AddDate(0, 0, days))
		if stage != want[0] || !strings.Contains(text, want[1]) || !strings.Contains(text, want[2]) ||
			(text == "") != (stage == "") || stage != "" && !strings.Contains(text, end.UTC().Format(time.DateOnly)) {
			t.Errorf("day %d: %s, %s", days, stage, text)
		}
	}
	for _, kind := range []Kind{KindSecret, KindCertificate} { // a new one in its place ends the warning
		old, renewed := CredentialInfo{Kind: kind, NotAfter: end}, CredentialInfo{Kind: kind}
		renewed.NotAfter = end.AddDate(1, 0, 0)
		_, before := old.Expiry(end)
		if stage, after := renewed.Expiry(end); !strings.Contains(before, "make a new one") || stage+after != "" {
			t.Errorf("%v: %q, then %q", kind, before, after)
		}
	}
}
