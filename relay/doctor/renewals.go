package doctor

import (
	"context"
	"os/exec"
	"slices"
	"time"

	"graphrelay/config"
	"graphrelay/config/strict"
	"graphrelay/relay/renewal"
	"graphrelay/relay/text"
)

// rollTimer renews, as root, what the service cannot.
const rollTimer = "graphrelay-cert-roll.timer"

// checkRenewals says which certificates cannot renew themselves, and why. It runs as
// the service.
func checkRenewals(c *config.Config) (found []config.Problem) {
	for i, id := range c.Identities {
		if !id.RenewsItself() {
			continue
		}
		file := string(id.CertificateFile)
		_, err := renewal.Examine(file)
		p := config.Problem{Key: strict.Entry("identities", i, "certificate_renewal")}
		if err == nil {
			if err = renewal.Writable(file); err != nil {
				p.Text = rollTimer
			}
		}
		if err != nil {
			cause := text.ReadCause(err.Error())
			p.Wrong, p.Remedy = "is auto, but: "+cause.Headline, cause.Remedy
			if cause.Detail != "" {
				p.Wrong += " [" + cause.Detail + "]"
			}
			found = append(found, p)
		}
	}
	return found
}

// leftToRoot takes out what the timer does for the service, if it is enabled.
func leftToRoot(ctx context.Context, file string, found []config.Problem) []config.Problem {
	unwritable := func(p config.Problem) bool { return p.Text == rollTimer }
	if slices.ContainsFunc(found, unwritable) &&
		exec.CommandContext(ctx, "systemctl", "is-enabled", "--quiet", rollTimer).Run() == nil {
		found = slices.DeleteFunc(found, unwritable)
	}
	for i := range found {
		found[i].File, found[i].Text = file, ""
	}
	return found
}

// renewals says how far the certificates that renew themselves are.
func (d *examiner) renewals() {
	for _, id := range d.c.Identities {
		if !id.RenewsItself() {
			continue
		}
		about := string(id.Name) + " renewal"
		r := renewal.New(renewal.Config{Identity: string(id.Name), File: string(id.CertificateFile)}).Report()
		if r.Failing {
			cause := text.ReadCause(r.Cause)
			d.warn(about, cause.Headline+" ["+r.Since.UTC().Format(time.DateOnly)+" "+cause.Detail+"]", cause.Remedy)
			continue
		}
		d.ok(about, "the certificate renews itself: %s", r.Text)
	}
}
