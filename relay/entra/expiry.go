package entra

import (
	"fmt"
	"time"

	"graphrelay/relay/text"
)

// Expired is the stage of a credential that has expired.
const Expired = "expired"

// expiryStage is how soon a credential expires: the least of 30, 14, 7, 3 and 1
// days that is not less than what is left, 0 when it has expired, and -1 while
// nobody needs to care. It is pure.
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

// Expiry returns how soon a credential expires: stage is empty while nobody needs
// to care, then "30 days", "14 days", "7 days", "3 days", "1 days" and "expired";
// cause is the line of a text.Cause. It is pure.
func (i CredentialInfo) Expiry(now time.Time) (stage, cause string) {
	days := expiryStage(now, i.NotAfter)
	if days < 0 {
		return "", ""
	}
	what, remedy := "Client secret", "make a new one in the app registration, put its Value into client_secret_file, "+
		"and correct client_secret_expires; no restart is needed"
	if i.Kind == KindCertificate {
		what, remedy = "Certificate of the app", "make a new one (graphrelay cert renew), "+
			"upload it to the app registration, and replace certificate_file; no restart is needed"
	}
	stage, when := Expired, "expired on %s"
	if days > 0 {
		left := i.NotAfter.Sub(now).Round(time.Hour)
		stage, when = fmt.Sprintf("%d days", days), "expires on %s, in "+inDays(left)
	}
	when = fmt.Sprintf(when, i.NotAfter.UTC().Format(time.DateOnly))
	return stage, text.Cause{Headline: what + " " + when, Remedy: remedy}.String()
}

func inDays(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
