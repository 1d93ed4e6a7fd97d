package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

func newStatus() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen whether mail flows and, if not, why",
		Long: `Show on one screen whether mail flows and, if not, why. The first line is the
verdict: OK, or PROBLEM with what is wrong and since when. Below it stands what
to do now, what happens to mail meanwhile, and the service's own words. Traffic,
queue, credentials, audits, and each mailbox that has mail waiting follow. Where nodes
share the queue in a database, each is shown, and mailboxes whose mail another node
sends have the lane "other".`,
		Example: `  graphrelay status
  graphrelay status --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := dialService(cmd.Context(), file)
			if err != nil {
				return err
			}
			s, err := service.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.PrintJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s, time.Now())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// shownLanes is how many mailboxes fit on the screen, with the lines about who waits.
const shownLanes = 12

// shownProblems is how many problems are shown; the worst come first.
const shownProblems = 8

func printStatus(w io.Writer, s admin.Status, now time.Time) error {
	p := terminal.NewPainter(w)
	printVerdict(w, p, s, now)
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "%s %s\n", p.Paint(terminal.Yellow, "note:"), text.Line(warning))
	}
	printTraffic(w, s)
	there := counts(count{s.Queued, "queued"}, count{s.Deferred, "deferred"}, count{s.Paused, "paused"},
		count{s.Sending, "sending"}, count{s.Held, "held"}, count{s.Failed, "failed"}, count{s.Damaged, "damaged"})
	fmt.Fprintf(w, "queue: %s%s\n", cmp.Or(there, "empty"), oldest(s.Oldest(), now))
	if s.Paused+s.Deferred > 0 {
		fmt.Fprintln(w, "  why they wait: graphrelay queue list --state paused,deferred")
	}
	if s.Failed+s.Damaged > 0 {
		fmt.Fprintln(w, "  why they failed: graphrelay queue list --state failed,damaged")
	}
	printProofs(w, p, s, now)
	if s.Store != "" {
		fmt.Fprintf(w, "store: %s\n", text.Line(s.Store))
	}
	printNodes(w, s.Nodes)
	fmt.Fprintf(w, "graphrelay %s, running for %s, %d connections\n", s.Version, terminal.Ago(now.Sub(s.Started)),
		s.Connections)
	return printLanes(w, s.Lanes, now)
}

// printNodes prints the relays that share the queue.
func printNodes(w io.Writer, nodes []state.Node) {
	for _, n := range nodes {
		about := ""
		if n.This {
			about += ", this one"
		}
		if n.Leads {
			about += ", leads"
		}
		fmt.Fprintf(w, "node: %s%s: sends for %s, seen %.0f s ago\n", text.Line(n.Name), about, mailboxes(n.Lanes),
			n.Seen)
	}
}

func mailboxes(n int) string {
	if n == 1 {
		return "1 mailbox"
	}
	return fmt.Sprintf("%d mailboxes", n)
}

// printVerdict says whether mail flows, and of each problem what, since when, and
// what to do now.
func printVerdict(w io.Writer, p terminal.Painter, s admin.Status, now time.Time) {
	if len(s.Problems) == 0 || s.Problems[0].Warning {
		fmt.Fprintf(w, "%s: mail flows\n", p.Paint(terminal.Green, "OK"))
	}
	for i, a := range s.Problems {
		if i == shownProblems {
			fmt.Fprintf(w, "... and %d more: graphrelay status --json\n", len(s.Problems)-i)
			return
		}
		word := p.Paint(terminal.Red, "PROBLEM")
		if a.Warning {
			word = p.Paint(terminal.Yellow, "WARNING")
		}
		fmt.Fprintf(w, "%s: %s, since %s (%s ago)\n", word, text.Line(a.Headline),
			a.Since.Local().Format("2006-01-02 15:04:05 MST"), terminal.Ago(now.Sub(a.Since)))
		for _, line := range []struct{ name, text string }{
			{"what to do", a.Remedy}, {"meanwhile", a.Meanwhile}, {"retry", retryOf(a, s.Holds)}, {"detail", a.Detail},
		} {
			if line.text != "" {
				fmt.Fprintf(w, "  %s: %s\n", line.name, text.Line(line.text))
			}
		}
	}
}

// retryOf says how the hold of a problem is tried before its time.
func retryOf(a state.Alarm, holds []state.Hold) string {
	i := slices.IndexFunc(holds, func(h state.Hold) bool { return state.AlarmKey(h.Key) == a.Key })
	if i < 0 {
		return ""
	}
	when := "by itself, or now"
	if sooner := sooner(holds[i].Triggers); sooner != "" {
		when = "by itself, sooner when " + sooner + ", or now"
	}
	return when + ": graphrelay queue release --hold " + terminal.ShellWord(text.Line(holds[i].Key))
}

// sooner says what causes a probe before its time, beside graphrelay queue release.
func sooner(triggers []string) string {
	words := map[string]string{
		"login": "a login works again", "roles": "a token has new roles", "network": "the network is back",
		"credential": "the credential changes", "reload": "the configuration is reloaded",
	}
	var list []string
	for _, t := range triggers {
		if words[t] != "" {
			list = append(list, words[t])
		}
	}
	if n := len(list); n > 1 {
		list = append(list[:n-2], list[n-2]+" or "+list[n-1])
	}
	return strings.Join(list, ", ")
}

func printTraffic(w io.Writer, s admin.Status) {
	for _, t := range []struct {
		name string
		state.Traffic
	}{{"last minute", s.Minute}, {"last hour", s.Hour}} {
		more := counts(count{t.Deferred, "deferred"}, count{t.Paused, "paused"}, count{t.Held, "held"},
			count{t.Failed, "failed"})
		if more != "" {
			more = ", " + more
		}
		fmt.Fprintf(w, "%s: %d accepted, %d refused, %d sent%s\n", t.name, t.Accepted, t.Refused, t.Sent, more)
	}
}

type count struct {
	n    int
	word string
}

// counts lists those that are not 0.
func counts(list ...count) string {
	var words []string
	for _, c := range list {
		if c.n > 0 {
			words = append(words, fmt.Sprint(c.n, " ", c.word))
		}
	}
	return strings.Join(words, ", ")
}

func oldest(first, now time.Time) string {
	if first.IsZero() {
		return ""
	}
	return "; oldest waiting for " + terminal.Ago(now.Sub(first))
}

// expiresSoon is how long before it expires something is shown in colour.
const expiresSoon = 30 * 24 * time.Hour

// printProofs prints credentials, certificate, audits and the configuration.
func printProofs(w io.Writer, p terminal.Painter, s admin.Status, now time.Time) {
	expiry := func(t time.Time) string {
		switch {
		case t.IsZero():
			return "expiry unknown"
		case t.Before(now):
			return p.Paint(terminal.Red, "EXPIRED "+t.Format(time.DateOnly))
		case t.Sub(now) < expiresSoon:
			return p.Paint(terminal.Yellow, "expires "+t.Format(time.DateOnly)+", "+terminal.Ago(now.Sub(t)))
		}
		return "expires " + t.Format(time.DateOnly)
	}
	for _, c := range s.Credentials {
		renews := ""
		if c.Renewal != nil {
			renews = "; renews itself: " + text.Line(c.Renewal.Text)
		}
		fmt.Fprintf(w, "credential: %s: %s, %s%s\n", text.Line(c.Identity), c.Kind, expiry(c.Expires), renews)
	}
	if !s.Certificate.IsZero() {
		fmt.Fprintf(w, "TLS certificate: %s\n", expiry(s.Certificate))
	}
	if len(s.Audits) == 0 {
		fmt.Fprintln(w, "last audit: none yet")
	}
	for _, a := range s.Audits {
		verdict := p.Paint(terminal.Green, "passed")
		if !a.Passed {
			verdict = p.Paint(terminal.Red, "FAILED")
		}
		fmt.Fprintf(w, "last audit: %s %s %s ago: %s\n", text.Line(a.Identity), verdict, terminal.Ago(now.Sub(a.At)),
			text.ReadCause(a.Text).Headline)
	}
	printCanary(w, p, s.Canary, now)
	failed := ""
	if s.Reload.Failed {
		failed = "; " + p.Paint(terminal.Red, "a later reload FAILED") + ", see the log"
	}
	fmt.Fprintf(w, "configuration: read %s ago%s\n", terminal.Ago(now.Sub(s.Reload.At)), failed)
}

// printCanary prints how far the newest canary has come, and how long it was on its way or
// when the last one arrived.
func printCanary(w io.Writer, p terminal.Painter, c *state.Canary, now time.Time) {
	if c == nil {
		return
	}
	fmt.Fprintf(w, "canary: %s ", terminal.Short(text.Line(c.Address), 28))
	last := terminal.Ago(now.Sub(c.Arrived))
	if c.Stage == "arrived" {
		fmt.Fprintf(w, "%s %s ago, %.1f s on its way\n", p.Paint(terminal.Green, c.Stage), last, c.Travel)
		return
	}
	is := c.Stage
	if c.Problem != "" {
		is = p.Paint(terminal.Red, is)
	}
	fmt.Fprintf(w, "%s, accepted %s ago", is, terminal.Ago(now.Sub(c.Accepted)))
	if !c.Arrived.IsZero() {
		fmt.Fprintf(w, "; last one %s ago", last)
	}
	fmt.Fprintln(w)
}

func printLanes(w io.Writer, lanes []state.Lane, now time.Time) error {
	if len(lanes) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	columns := laneCounts(lanes)
	head := []string{"MAILBOX"}
	width := 80 - len("  OLDEST  SLOTS  sending")
	for _, c := range columns {
		head, width = append(head, c.name), width-len("  ")-max(len(c.name), 6)
	}
	g := terminal.NewGrid(w, append(head, "OLDEST", "SLOTS", "LANE")...)
	lines := shownLanes + 1
	for i, l := range lanes {
		if lines <= 1 && i < len(lanes)-1 {
			g.Note(fmt.Sprintf("... and %d more: graphrelay status --json", len(lanes)-i))
			break
		}
		lines--
		age := ""
		if !l.Oldest.IsZero() {
			age = terminal.Ago(now.Sub(l.Oldest))
		}
		slots := fmt.Sprintf("%d/%d", l.Busy, l.Slots)
		if l.Elsewhere {
			slots = "" // only the node that sends it knows
		}
		row := []string{terminal.Short(text.Line(l.Mailbox), min(width, 31))}
		for _, c := range columns {
			row = append(row, fmt.Sprint(c.of(l)))
		}
		g.Row(append(row, age, slots, laneState(l, now))...)
		if l.TakesTurns() && lines > 1 {
			g.Note(whoWaits(l))
			lines--
		}
	}
	return g.Print(func(column int, cell string) string {
		if column == len(head)+2 && (cell == "on hold" || cell == "waits") {
			return terminal.Yellow
		}
		return ""
	})
}

// shownClients is how many clients are shown of a mailbox.
const shownClients = 3

// whoWaits says whose mail waits in a mailbox, of as many clients as fit in a line.
func whoWaits(l state.Lane) (line string) {
	for n := min(len(l.Clients), shownClients); n > 0; n-- {
		others := l.OthersWaiting
		for _, w := range l.Clients[n:] {
			others += w.Waiting
		}
		line = "  waiting: " + strings.Join(clientsWaiting(l.Clients[:n]), ", ")
		if others > 0 {
			line += fmt.Sprint(", others ", others)
		}
		if terminal.Columns(line) <= 80 {
			break
		}
	}
	return terminal.Short(line, 80)
}

func clientsWaiting(clients []state.Waits) (list []string) {
	for _, w := range clients {
		var about []string
		if w.Priority != "normal" && w.Client != "" {
			about = append(about, w.Priority)
		}
		if w.Sources > 1 {
			about = append(about, fmt.Sprint(w.FromBusiest, " from ", text.Line(w.Busiest)))
		}
		one := fmt.Sprint(terminal.Short(text.Line(w.Name()), 24), " ", w.Waiting)
		if len(about) > 0 {
			one += " (" + strings.Join(about, ", ") + ")"
		}
		list = append(list, one)
	}
	return list
}

// laneCount is a column of the mailboxes: how many messages are in a state.
type laneCount struct {
	name string
	of   func(state.Lane) int
}

// laneCounts are the states in which any mailbox has messages, and queued.
func laneCounts(lanes []state.Lane) []laneCount {
	all := []laneCount{
		{"QUEUED", func(l state.Lane) int { return l.Queued }},
		{"DEFERRED", func(l state.Lane) int { return l.Deferred }},
		{"PAUSED", func(l state.Lane) int { return l.Paused }},
		{"SENDING", func(l state.Lane) int { return l.Sending }},
		{"HELD", func(l state.Lane) int { return l.Held }},
	}
	return slices.DeleteFunc(all, func(c laneCount) bool {
		return c.name != "QUEUED" && !slices.ContainsFunc(lanes, func(l state.Lane) bool { return c.of(l) > 0 })
	})
}

func laneState(l state.Lane, now time.Time) string {
	switch {
	case l.Paused > 0 && l.Paused == l.Waiting():
		return "on hold"
	case l.Elsewhere:
		return "other"
	case l.Backoff.After(now):
		return "waits " + terminal.Ago(l.Backoff.Sub(now))
	case l.Failures > 0:
		return fmt.Sprintf("%d fail", l.Failures)
	case l.Busy > 0:
		return "sending"
	}
	return "idle"
}
