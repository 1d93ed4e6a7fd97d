package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/admin"
)

func newStatus() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell in one screen whether mail flows, and if not, why",
		Long: `Tell in one screen whether mail flows, and if not, why: warnings and holds first
with what to do, then traffic, queue, credentials, audits, and each mailbox that
has mail waiting.`,
		Example: `  graphrelay status
  graphrelay status --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := dialService(file)
			if err != nil {
				return err
			}
			s, err := service.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s, time.Now())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// shownLanes is how many mailboxes fit the screen.
const shownLanes = 12

func printStatus(w io.Writer, s admin.Status, now time.Time) error {
	p := newPainter(w)
	fmt.Fprintf(w, "graphrelay %s, running for %s, %d connections\n", s.Version, ago(now.Sub(s.Started)), s.Connections)
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "%s %s\n", p.paint(yellow, "warning:"), visible(warning))
	}
	if s.Healthy {
		fmt.Fprintf(w, "spool: %s\n", p.paint(green, "healthy"))
	} else {
		fmt.Fprintf(w, "spool: %s: %s\n", p.paint(red, "UNHEALTHY"), visible(s.Health))
	}
	printHolds(w, p, s.Holds, now)
	printTraffic(w, s)
	fmt.Fprintf(w, "queue: %d queued, %d active, %d held, %d failed, %d damaged%s\n",
		s.Queued, s.Active, s.Held, s.Failed, s.Damaged, oldest(s.Lanes, now))
	if s.Held > 0 {
		fmt.Fprintln(w, "  why they are held: graphrelay queue list --state held")
	}
	if s.Failed+s.Damaged > 0 {
		fmt.Fprintln(w, "  why they failed: graphrelay queue list --state failed,damaged")
	}
	printProofs(w, p, s, now)
	return printLanes(w, s.Lanes, now)
}

func printHolds(w io.Writer, p painter, holds []admin.Hold, now time.Time) {
	for _, h := range holds {
		fmt.Fprintf(w, "%s %s for %s: %s %s\n", p.paint(red, "hold:"), visible(h.Key), ago(now.Sub(h.Since)), h.Status, visible(h.Text))
		if isAudit(h.Key) {
			fmt.Fprintf(w, "  ends when an audit passes; to audit now: graphrelay queue release --hold %s\n", shellWord(visible(h.Key)))
			continue
		}
		next := "now"
		if h.Next.After(now) {
			next = ago(now.Sub(h.Next))
		}
		fmt.Fprintf(w, "  probed %d times, next %s; when mended: graphrelay queue release --hold %s\n", h.Probes, next, shellWord(visible(h.Key)))
	}
}

func printTraffic(w io.Writer, s admin.Status) {
	for _, t := range []struct {
		name string
		admin.Traffic
	}{{"last minute", s.Minute}, {"last hour", s.Hour}} {
		fmt.Fprintf(w, "%s: %d accepted, %d rejected, %d sent, %d deferred, %d held, %d bounced\n",
			t.name, t.Accepted, t.Rejected, t.Sent, t.Deferred, t.Traffic.Held, t.Bounced)
	}
}

func oldest(lanes []admin.Lane, now time.Time) string {
	var first *time.Time
	for _, l := range lanes {
		if l.Oldest != nil && (first == nil || l.Oldest.Before(*first)) {
			first = l.Oldest
		}
	}
	if first == nil {
		return ""
	}
	return "; the oldest waits for " + ago(now.Sub(*first))
}

// expiresSoon is when an end of validity becomes worth a colour.
const expiresSoon = 30 * 24 * time.Hour

// printProofs tells of credentials, certificate, audits and the configuration.
func printProofs(w io.Writer, p painter, s admin.Status, now time.Time) {
	expiry := func(t *time.Time) string {
		switch {
		case t == nil:
			return "no known end"
		case t.Before(now):
			return p.paint(red, "EXPIRED "+t.Format(time.DateOnly))
		case t.Sub(now) < expiresSoon:
			return p.paint(yellow, "expires "+t.Format(time.DateOnly)+", "+ago(now.Sub(*t)))
		}
		return "expires " + t.Format(time.DateOnly)
	}
	for _, c := range s.Credentials {
		fmt.Fprintf(w, "credential: %s: %s, %s\n", visible(c.Identity), c.Kind, expiry(c.Expires))
	}
	if s.Certificate != nil {
		fmt.Fprintf(w, "TLS certificate: %s\n", expiry(s.Certificate))
	}
	if len(s.Audits) == 0 {
		fmt.Fprintln(w, "last audit: none yet")
	}
	for _, a := range s.Audits {
		verdict := p.paint(green, "passed")
		if !a.Passed {
			verdict = p.paint(red, "FAILED")
		}
		fmt.Fprintf(w, "last audit: %s %s %s ago: %s\n", visible(a.Identity), verdict, ago(now.Sub(a.At)), visible(a.Text))
	}
	failed := ""
	if s.Reload.Failed {
		failed = "; " + p.paint(red, "a later reload FAILED") + ", see the log"
	}
	fmt.Fprintf(w, "configuration: read %s ago%s\n", ago(now.Sub(s.Reload.At)), failed)
}

func printLanes(w io.Writer, lanes []admin.Lane, now time.Time) error {
	if len(lanes) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	g := newGrid(w, "MAILBOX", "QUEUED", "ACTIVE", "HELD", "OLDEST", "SLOTS", "LANE")
	for i, l := range lanes {
		if i == shownLanes && len(lanes) > shownLanes+1 {
			g.note(fmt.Sprintf("... and %d more: graphrelay status --json", len(lanes)-shownLanes))
			break
		}
		age := ""
		if l.Oldest != nil {
			age = ago(now.Sub(*l.Oldest))
		}
		g.row(short(visible(l.Mailbox), 31), fmt.Sprint(l.Queued), fmt.Sprint(l.Active), fmt.Sprint(l.Held), age,
			fmt.Sprintf("%d/%d", l.Busy, l.Slots), laneState(l, now))
	}
	return g.print(func(column int, cell string) string {
		if column == 6 && strings.HasPrefix(cell, "paused") {
			return yellow
		}
		return ""
	})
}

func laneState(l admin.Lane, now time.Time) string {
	switch {
	case l.Paused != nil && l.Paused.After(now):
		return "paused"
	case l.Failures > 0:
		return fmt.Sprintf("%d fail", l.Failures)
	case l.Busy > 0:
		return "sending"
	}
	return "idle"
}
