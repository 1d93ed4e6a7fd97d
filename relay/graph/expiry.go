package graph

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

// expiryText is what the operator reads at a stage.
func expiryText(i CredentialInfo, now time.Time) string {
	remedy := "make a new secret in the app registration, put its Value into the file, and correct client_secret_expires"
	if i.Kind == KindCertificate {
		remedy = "make a new certificate, upload it to the app registration, and put it in place of the file"
	}
	date := i.NotAfter.UTC().Format(time.DateOnly)
	if !now.Before(i.NotAfter) {
		return fmt.Sprintf("the %s has expired on %s and nothing is sent once the last token ends; %s", i.Kind, date, remedy)
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

// expiryWatch remembers what was said, so that each stage is said once.
type expiryWatch struct{ said int }

// look warns when a new stage is reached and takes the warning back when the
// credential was renewed.
func (w *expiryWatch) look(c *Client) {
	i, now := c.Credential(), c.cfg.Now()
	stage := expiryStage(now, i.NotAfter)
	switch key := "credential:" + c.cfg.Name; {
	case stage == w.said:
		return
	case stage < 0:
		c.cfg.Log.Info("credential renewed", "kind", string(i.Kind), "expires", i.NotAfter)
		c.cfg.Alarm(key, "the "+string(i.Kind)+" was renewed", false)
	default:
		c.cfg.Log.Warn("credential expires", "kind", string(i.Kind), "expires", i.NotAfter, "reason", expiryText(i, now))
		c.cfg.Alarm(key, expiryText(i, now), true)
	}
	w.said = stage
}
