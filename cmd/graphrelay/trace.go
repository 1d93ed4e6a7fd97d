package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// traceFlags say which messages are looked for.
type traceFlags struct {
	to, from, subject, messageID, since, until string
	limit                                      int
	asJSON                                     bool
}

func newTrace() *cobra.Command {
	var file string
	var flags traceFlags
	cmd := &cobra.Command{
		Use:   "trace [TEXT] [DAY]",
		Short: "Show what happened to a message: sender, recipients, state, why it failed",
		Long: `Show what happened to messages, newest first: sender, recipients, current state
and, if a message failed, why. TEXT is a queue ID, a Message-ID, the address of a
recipient or sender, the IP address of a client, or part of an address, a domain,
a subject, a Message-ID or a client's name, in upper or lower case. DAY is today,
yesterday or a date. Messages are found until their history expires
(queue.history, 30 days). The store of a stopped service is read too. Times are
those of this host's zone, which is printed with them; what is typed without a zone
is read in the same. The exit code is 1 if no message is found, also with --json.`,
		Example: `  graphrelay trace 06hhgq2g00dcrdpj
  graphrelay trace '<20260131.1@erp.contoso.com>'
  graphrelay trace customer@example.org yesterday
  graphrelay trace @example.org --since 2d
  graphrelay trace "invoice 4711"
  graphrelay trace --subject report --to finance --since yesterday --until "today 06:00"
  graphrelay trace --from notifications@contoso.com --since "2026-01-31 08:00" --until "2026-01-31 09:00"`,
		Args: func(cmd *cobra.Command, args []string) error {
			most := 1
			if len(args) == 2 && isDay(args[1]) {
				most = 2
			}
			return arguments(0, most, "a text, in quotes if it has spaces, and a day")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			find, err := flags.read(args, time.Now())
			if err != nil {
				return usageError{err}
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error { return flags.trace(cmd, q, find) })
		},
	}
	configFlag(cmd, &file)
	f := cmd.Flags()
	f.StringVar(&flags.to, "to", "", "to this recipient `ADDRESS`, or a part of it")
	f.StringVar(&flags.from, "from", "", "with this `ADDRESS`, or a part of it, as From or reverse-path")
	f.StringVar(&flags.subject, "subject", "", "with this `TEXT` in the subject, in upper or lower case")
	f.StringVar(&flags.messageID, "message-id", "", "with this Message-`ID`")
	f.StringVar(&flags.since, "since", "",
		"accepted at this `MOMENT` or later: a date, \"DATE HH:MM\", yesterday, HH:MM, or how long ago, as in 4h or 2d")
	f.StringVar(&flags.until, "until", "", "accepted before this `MOMENT`")
	f.IntVar(&flags.limit, "limit", 20, "at most `N` messages")
	f.BoolVar(&flags.asJSON, "json", false, "print JSON")
	return cmd
}

func isDay(s string) bool {
	_, err := operator.ParseDay(s, time.Now())
	return err == nil
}

// sought is a queue ID or a filter.
type sought struct {
	id     envelope.QueueID
	filter spool.Filter
}

func (t *traceFlags) read(args []string, now time.Time) (s sought, err error) {
	f := spool.Filter{Newest: true, MessageID: bracketed(t.messageID), Subject: t.subject}
	f.Recipient, f.RecipientPart = addressOrPart(t.to)
	f.Sender, f.SenderPart = addressOrPart(t.from)
	s.filter = f
	if len(args) > 0 {
		s.id, s.filter = operator.Sought(args[0], f, now)
	}
	if len(args) == 2 {
		_, day := operator.Sought(args[1], f, now)
		s.filter.Since, s.filter.Until = day.Since, day.Until
	}
	for _, m := range []struct {
		flag, value string
		to          *time.Time
	}{{"since", t.since, &s.filter.Since}, {"until", t.until, &s.filter.Until}} {
		if m.value != "" && err == nil {
			if *m.to, err = operator.ParseMoment(m.value, now); err != nil {
				err = fmt.Errorf("--%s %w", m.flag, err)
			}
		}
	}
	switch {
	case err != nil:
	case t.limit < 1:
		err = errors.New("--limit must be at least 1")
	case !s.filter.Since.IsZero() && !s.filter.Until.IsZero() && !s.filter.Since.Before(s.filter.Until):
		err = errors.New("--since must be before --until")
	case strings.Join(args, "")+t.to+t.from+t.subject+t.messageID+t.since+t.until == "":
		err = errors.New("which message? Give a queue ID, an address or a part of it, a subject, a day, " +
			"or --to, --from, --since")
	}
	return s, err
}

// addressOrPart reads an address as a whole if it is one.
func addressOrPart(s string) (envelope.Address, string) {
	if a, err := envelope.ParseRecipient(strings.Trim(s, "<>")); err == nil && strings.Contains(s, "@") {
		return a, ""
	}
	return envelope.Address{}, s
}

func (t *traceFlags) trace(cmd *cobra.Command, q queueReader, s sought) error {
	found, err := t.find(cmd.Context(), q, s)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if t.asJSON {
		err = terminal.PrintJSON(w, found)
	} else {
		t.print(w, found)
	}
	if err == nil && len(found) == 0 {
		err = errors.New("no message found; its history may have expired (queue.history), or it never arrived: see " +
			"the log, and `graphrelay status`")
	}
	return err
}

func (t *traceFlags) print(w io.Writer, found []*admin.Detail) {
	for i, d := range found {
		if i > 0 {
			fmt.Fprintln(w)
		}
		printTrace(w, d, time.Now())
	}
	if len(found) == t.limit {
		fmt.Fprintf(w, "\n%s; there may be more: --limit\n", messages(len(found)))
	}
}

func (t *traceFlags) find(ctx context.Context, q queueReader, s sought) ([]*admin.Detail, error) {
	found := []*admin.Detail{}
	show := func(id envelope.QueueID) error {
		d, err := q.Show(ctx, id)
		if err == nil {
			d.Header = "" // trace is about the path, not the content
			found = append(found, d)
		}
		return err
	}
	if s.id != "" {
		return found, noMessage(s.id, show(s.id))
	}
	list := func(f spool.Filter) ([]admin.Message, error) { return q.List(ctx, f) }
	f, err := operator.Widen(s.filter, list)
	if err != nil {
		return nil, err
	}
	return found, pages(ctx, q, f, t.limit, func(page []admin.Message) error {
		for _, m := range page {
			if err := show(envelope.QueueID(m.QueueID)); err != nil && !errors.Is(err, spool.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

func printTrace(w io.Writer, d *admin.Detail, now time.Time) {
	p, m := terminal.NewPainter(w), d.Message
	fmt.Fprintf(w, "%s  %s  %s\n", p.Paint(terminal.Bold, m.QueueID), p.Paint(stateColour(m.State), m.State),
		stamp(m.Accepted))
	line := func(name, value string) { fmt.Fprintf(w, "  %-9s%s\n", name, text.Line(value)) }
	line("client", strings.TrimSpace(m.Client+" "+m.ClientAddr))
	line("from", m.From+sentThrough(m))
	line("to", strings.Join(m.Recipients, ", "))
	line("subject", m.Subject)
	line("id", m.MessageID)
	line("now", whereabouts(m, now))
	printHistory(w, d.History)
}

// sentThrough names the reverse-path and the mailbox if they differ from From.
func sentThrough(m admin.Message) string {
	var more []string
	if m.ReversePath != m.From {
		more = append(more, "reverse-path <"+m.ReversePath+">")
	}
	if m.Mailbox != m.From {
		more = append(more, "mailbox "+m.Mailbox)
	}
	if len(more) == 0 {
		return ""
	}
	return " (" + strings.Join(more, ", ") + ")"
}
