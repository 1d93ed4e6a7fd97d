package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// traceFlags say which messages are looked for.
type traceFlags struct {
	to, from, client, subject, messageID, since, until string
	limit                                              int
	asJSON, undelivered                                bool
}

func newTrace() *cobra.Command {
	var file string
	var flags traceFlags
	cmd := &cobra.Command{
		Use:   "trace [TEXT] [DAY]",
		Short: "Show what happened to a message, or why it was refused",
		Long: `Show what happened to messages, newest first: sender, recipients, current state
and, if a message failed, why. TEXT is a queue ID, a Message-ID, the address of a
recipient or sender, the IP address of a client, or part of an address, a domain,
a subject, a Message-ID or a client's name, in upper or lower case. DAY is today,
yesterday or a date. Messages are found until their history expires
(queue.history, 30 days). The store of a stopped service is read too. Times are
those of this host's zone, which is printed with them; what is typed without a zone
is read in the same.

With --undelivered, only messages are shown that graphrelay could not send, or of
which a bounce came back (delivery.track_bounces). A message that was sent and
bounced lists what became of each recipient: accepted by Microsoft (nothing more is
known), delayed or bounced, with the words of the host that refused it; "probably"
where the bounce may be about another message.

Below the messages, trace shows what was refused to the same client, from the same
sender, to the domain of the same recipient, in the same time: one entry for each
hour and reason, with a count. Of clients that did not log in and that no entry of
clients names, only the address and the reason are kept.

The exit code is 1 if nothing is found, also with --json, which prints an array of
objects: a message with its history, or what was refused.`,
		Example: `  graphrelay trace 06hhgq2g00dcrdpj
  graphrelay trace '<20260131.1@erp.contoso.com>'
  graphrelay trace customer@example.org yesterday
  graphrelay trace @example.org --since 2d
  graphrelay trace "invoice 4711"
  graphrelay trace 10.1.2.17 --since 1h
  graphrelay trace --client printers --since 1d
  graphrelay trace --undelivered --since 7d
  graphrelay trace --subject report --to finance --since yesterday --until "today 06:00"
  graphrelay trace --from notifications@contoso.com --since "2026-01-31 08:00" --until "2026-01-31 09:00"`,
		Args: textAndDay,
		RunE: func(cmd *cobra.Command, args []string) error {
			find, err := flags.read(args, time.Now())
			if err != nil {
				return usageError{err}
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error { return flags.trace(cmd, q, find) })
		},
	}
	configFlag(cmd, &file)
	flags.add(cmd.Flags())
	return cmd
}

func (t *traceFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.to, "to", "", "to this recipient `ADDRESS`, or a part of it")
	f.StringVar(&t.from, "from", "", "with this `ADDRESS`, or a part of it, as From or reverse-path")
	f.StringVar(&t.client, "client", "", "from this client, a `NAME` of the configuration or an IP address")
	f.StringVar(&t.subject, "subject", "", "with this `TEXT` in the subject, in upper or lower case")
	f.StringVar(&t.messageID, "message-id", "", "with this Message-`ID`")
	f.StringVar(&t.since, "since", "",
		"accepted at this `MOMENT` or later: a date, \"DATE HH:MM\", yesterday, HH:MM, or how long ago, as in 4h or 2d")
	f.StringVar(&t.until, "until", "", "accepted before this `MOMENT`")
	f.BoolVar(&t.undelivered, "undelivered", false, "only those that failed or of which a bounce came back")
	f.IntVar(&t.limit, "limit", 20, "at most `N` messages")
	f.BoolVar(&t.asJSON, "json", false, "print JSON")
}

// textAndDay are the arguments: both may be left out, the text without a day too.
func textAndDay(cmd *cobra.Command, args []string) error {
	most := 1
	if len(args) == 2 && isDay(args[1]) {
		most = 2
	}
	return arguments(0, most, "a text, in quotes if it has spaces, and a day")(cmd, args)
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
	f := spool.Filter{
		Newest: true, MessageID: bracketed(t.messageID), Subject: t.subject, Undelivered: t.undelivered,
	}
	f.Client, f.ClientIP = clientOrAddress(t.client)
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
	case t.undelivered:
	case strings.Join(args, "")+t.to+t.from+t.client+t.subject+t.messageID+t.since+t.until == "":
		err = errors.New("which message? Give a queue ID, an address or a part of it, a subject, a day, " +
			"or --to, --from, --client, --since")
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
	var refused []admin.Refusal
	if !t.undelivered {
		if refused, err = findRefusals(cmd.Context(), q, refusalFilters(s), t.limit); err != nil {
			return err
		}
	}
	w := cmd.OutOrStdout()
	if t.asJSON {
		err = terminal.PrintJSON(w, traced(found, refused))
	} else {
		t.print(w, found, refused)
	}
	if err == nil && len(found)+len(refused) == 0 {
		err = errors.New("no message found, accepted or refused; its history may have expired (queue.history), or " +
			"the client could not connect: see the log, and `graphrelay status`")
	}
	return err
}

// traced is the JSON of what was found.
func traced(found []*admin.Detail, refused []admin.Refusal) []any {
	all := []any{}
	for _, d := range found {
		all = append(all, d)
	}
	for _, r := range refused {
		all = append(all, struct {
			Refused admin.Refusal `json:"refused"`
		}{r})
	}
	return all
}

func (t *traceFlags) print(w io.Writer, found []*admin.Detail, refused []admin.Refusal) {
	between := ""
	for _, d := range found {
		fmt.Fprint(w, between)
		printTrace(w, d, time.Now())
		between = "\n"
	}
	for _, r := range refused {
		fmt.Fprint(w, between)
		printRefusal(w, r)
		between = "\n"
	}
	if max(len(found), len(refused)) >= t.limit {
		fmt.Fprintf(w, "\nThere may be more than %d: --limit\n", t.limit)
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
	printFates(w, d.Fates)
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
