package entra

import (
	"fmt"
	"time"
)

// expiryStage is how urgent the end of a credential is: the least of 30, 14, 7,
// 3 and 1 days that is not less than what is left, 0 when it has expired, and
// -1 as long as nobody need care. It is pure.
func expiryStage(now, expires time.Time) int {
	if expires.IsZero() {
		return -1
	}
	left := expires.Sub(now)
	if left <= 0 {
		return 0
	}
	for _, days := range []int{1, 3, 7, 14, 30} {
		if left <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return -1
}

// Expiry tells how near the end of a credential is: stage is empty as long as
// nobody need care, then "30 days", "14 days", "7 days", "3 days", "1 days" and
// "expired"; text is for the operator. It is pure.
func (i CredentialInfo) Expiry(now time.Time) (stage, text string) {
	switch days := expiryStage(now, i.NotAfter); {
	case days < 0:
		return "", ""
	case days == 0:
		return Expired, expiryText(i, now)
	default:
		return fmt.Sprintf("%d days", days), expiryText(i, now)
	}
}

// Expired is the stage of a credential that has ended.
const Expired = "expired"

// expiryText is what the operator reads at a stage.
func expiryText(i CredentialInfo, now time.Time) string {
	remedy := "make a new secret in the app registration, put its Value into the file, and correct client_secret_expires"
	if i.Kind == KindCertificate {
		remedy = "make a new certificate, upload it to the app registration, and put it in place of the file"
	}
	date := i.NotAfter.UTC().Format(time.DateOnly)
	if !now.Before(i.NotAfter) {
		return fmt.Sprintf("the %s has expired on %s and nothing is sent once the last token ends; %s; it is taken over without a restart", i.Kind, date, remedy)
	}
	left := i.NotAfter.Sub(now).Round(time.Hour)
	return fmt.Sprintf("the %s expires on %s, in %s; %s; it is taken over without a restart", i.Kind, date, days(left), remedy)
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
