package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

func newQueueShow() *cobra.Command {
	var file string
	var asJSON, body bool
	cmd := &cobra.Command{
		Use:   "show QUEUE-ID...",
		Short: "Show messages: envelope, history and header",
		Long: `Show messages: the current state and its reason, envelope, history and header.
The body is shown only with --body; graphrelay queue export writes it unchanged.`,
		Example: `  graphrelay queue show 06hhgq2g00dcrdpj
  graphrelay queue show --body 06hhgq2g00dcrdpj | less`,
		Args: arguments(1, math.MaxInt, "a queue ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			if err == nil && asJSON && body {
				err = errors.New("--json cannot show the body; `graphrelay queue export` writes it")
			}
			if err != nil {
				return usageError{err}
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error {
				return show(cmd, q, ids, asJSON, body)
			})
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per message")
	cmd.Flags().BoolVar(&body, "body", false, "also show the body")
	return cmd
}

func show(cmd *cobra.Command, q queueReader, ids []envelope.QueueID, asJSON, body bool) error {
	w := cmd.OutOrStdout()
	for i, id := range ids {
		d, err := q.Show(cmd.Context(), id)
		if err != nil {
			return noMessage(id, err)
		}
		if asJSON {
			if err := terminal.PrintJSON(w, d); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printDetail(w, d, time.Now()); err != nil {
			return err
		}
		if body {
			if err := printBody(cmd, q, d.Message); err != nil {
				return err
			}
		}
	}
	return nil
}

func printDetail(w io.Writer, d *admin.Detail, now time.Time) error {
	p, m := terminal.NewPainter(w), d.Message
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-18s%s\n", name+":", value)
		}
	}
	row("Queue ID", m.QueueID)
	row("State", p.Paint(stateColour(m.State), m.State))
	row("Now", text.Line(whereabouts(m, now)))
	row("Accepted", stamp(m.Accepted))
	row("Next attempt", stamp(m.NextAttempt))
	row("Last attempt", stamp(m.LastAttempt))
	row("Attempts", fmt.Sprint(m.Attempts))
	row("Client", text.Line(strings.TrimSpace(m.Client+" "+m.ClientAddr)))
	row("Reverse-path", text.Line("<"+m.ReversePath+">"))
	row("From", text.Line(m.From))
	row("Mailbox", text.Line(m.Mailbox))
	row("Recipients", text.Line(strings.Join(m.Recipients, ", ")))
	row("Message-ID", text.Line(m.MessageID))
	row("Subject", text.Line(m.Subject))
	row("Size", fmt.Sprint(m.Size))
	row("Graph request-id", text.Line(m.RequestID))
	if d.Message.Bounces > 0 || hasFate(d.Fates) {
		fmt.Fprintln(w, "\nRecipients:")
		printFates(w, d.Fates)
	}
	fmt.Fprintln(w, "\nHistory:")
	printHistory(w, d.History)
	if d.Header == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nHeader:\n%s", text.Lines(d.Header))
	return err
}

func printHistory(w io.Writer, events []admin.Event) {
	p := terminal.NewPainter(w)
	for _, e := range events {
		fmt.Fprintf(w, "  %s  %s", stamp(e.At), p.Paint(stateColour(e.Event), text.Line(e.Event)))
		if e.Attempt > 0 {
			fmt.Fprintf(w, " (attempt %d)", e.Attempt)
		}
		if e.Unknown {
			fmt.Fprint(w, ", outcome unknown")
		}
		if e.DurationMS > 0 {
			fmt.Fprintf(w, " after %d ms", e.DurationMS)
		}
		if e.Recipient != "" {
			fmt.Fprintf(w, " for %s", text.Line(e.Recipient))
		}
		if e.Probable {
			fmt.Fprint(w, ", probably")
		}
		if e.Status != "" || e.Text != "" {
			fmt.Fprintf(w, ": %s", text.Line(strings.TrimSpace(e.Status+" "+e.Text)))
		}
		if e.RequestID != "" {
			fmt.Fprintf(w, " [request-id %s]", text.Line(e.RequestID))
		}
		fmt.Fprintln(w)
	}
}

// hasFate reports whether more is known of a recipient than that Microsoft accepted the message.
func hasFate(fates []admin.Fate) bool {
	return slices.ContainsFunc(fates, func(f admin.Fate) bool { return f.Fate != "accepted" })
}

// printFates prints what became of each recipient, where more is known of one.
func printFates(w io.Writer, fates []admin.Fate) {
	if !hasFate(fates) {
		return
	}
	p := terminal.NewPainter(w)
	for _, f := range fates {
		who, fate := cmp.Or(f.Recipient, "not named in the bounce"), f.Fate
		switch {
		case f.Probable:
			fate = "probably " + fate
		case fate == "accepted":
			fate = "accepted by Microsoft"
		}
		fmt.Fprintf(w, "  %s  %s  %s", stamp(f.At), text.Line(who), p.Paint(stateColour(f.Fate), fate))
		if f.Status != "" || f.Text != "" {
			fmt.Fprintf(w, ": %s", text.Line(strings.TrimSpace(f.Status+" "+f.Text)))
		}
		if f.Remote != "" {
			fmt.Fprintf(w, " [%s]", text.Line(f.Remote))
		}
		fmt.Fprintln(w)
	}
}

// whereabouts says what state a message is in, why, and what can be done.
func whereabouts(m admin.Message, now time.Time) string {
	reason := strings.TrimSpace(m.Status + " " + m.Reason)
	switch spool.State(m.State) {
	case spool.Queued, spool.Deferred:
		return waiting(m, reason, now)
	case spool.Paused:
		return fmt.Sprintf("paused%s: %s; once fixed: graphrelay queue release --hold %s",
			since(m.PausedSince, now), m.PausedReason, terminal.ShellWord(m.PausedBy))
	case spool.Sending:
		return "an attempt is in progress"
	case spool.Held:
		return fmt.Sprintf("held%s: %s; to release it: graphrelay queue release %s", since(m.HeldSince, now), reason,
			m.QueueID)
	case spool.Sent:
		if m.Bounces > 0 {
			return fmt.Sprintf("accepted by Microsoft 365 at %s; bounces: %d", stamp(m.Finished), m.Bounces)
		}
		return fmt.Sprintf("accepted by Microsoft 365 at %s; if it fails later, a report arrives in %s",
			stamp(m.Finished), m.Mailbox)
	case spool.Failed:
		if m.BodyGone {
			return fmt.Sprintf("failed at %s: %s; its content is deleted (queue.keep_failed)", stamp(m.Finished),
				reason)
		}
		return fmt.Sprintf("failed at %s: %s; to retry: graphrelay queue retry %s", stamp(m.Finished), reason,
			m.QueueID)
	case spool.Damaged:
		return "its stored content does not match its checksum: " + reason
	case spool.Deleted:
		return "deleted at " + stamp(m.Finished) + " by the operator"
	}
	return reason
}

func waiting(m admin.Message, reason string, now time.Time) string {
	text := "waiting for its first attempt"
	if m.Attempts > 0 {
		text = fmt.Sprintf("waiting for attempt %d", m.Attempts+1)
	}
	if m.NextAttempt.After(now) {
		text += ", due " + terminal.Ago(now.Sub(m.NextAttempt))
	} else {
		text += ", due now: its mailbox is busy or backs off (graphrelay status)"
	}
	if reason != "" {
		text += "; last: " + reason
	}
	if m.Unknown {
		text += "; it may have been sent already"
	}
	return text
}

func since(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " for " + terminal.Ago(now.Sub(t))
}

// stamp is a time in the zone of this host, which ParseMoment reads too.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.RFC3339)
}

// printBody streams the body, as harmless as the header.
func printBody(cmd *cobra.Command, q queueReader, m admin.Message) error {
	b, err := q.Body(cmd.Context(), envelope.QueueID(m.QueueID))
	if errors.Is(err, spool.ErrNotFound) {
		return fmt.Errorf("the content of message %s is deleted: the message is %s", m.QueueID, m.State)
	}
	if err != nil {
		return err
	}
	defer b.Close()
	if _, err := io.CopyN(io.Discard, b, m.HeaderSize); err != nil {
		return err
	}
	w := bufio.NewWriter(cmd.OutOrStdout())
	fmt.Fprint(w, "Body:\n")
	r := bufio.NewReaderSize(b, 64<<10)
	for {
		line, err := r.ReadSlice('\n')
		if _, err := w.WriteString(text.Lines(string(line))); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return errors.Join(err, w.Flush())
		}
	}
}
