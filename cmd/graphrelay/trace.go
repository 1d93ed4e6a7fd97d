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
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// traceFlags say which messages are looked for.
type traceFlags struct {
	to, from, client, messageID, since, until string
	limit                                     int
	asJSON                                    bool
}

func newTrace() *cobra.Command {
	var file string
	var flags traceFlags
	cmd := &cobra.Command{
		Use:   "trace [QUEUE-ID | MESSAGE-ID | RECIPIENT | CLIENT-ADDRESS]",
		Short: "Show what happened to a message, or why it was refused",
		Long: `Show what happened to messages, newest first: sender, recipients, current state
and, if a message failed, why. Messages are found by queue ID, Message-ID (as in
the header, in angle brackets), recipient, sender, client or time, until their
history expires (queue.history, 30 days). The store of a stopped service is read
too.

Below the messages, trace shows what was refused to the same client, from the same
sender, to the domain of the same recipient, in the same time: one entry for each
hour and reason, with a count. Of clients that did not log in and that no entry of
clients names, only the address and the reason are kept.

The exit code is 1 if nothing is found, also with --json, which prints an array of
objects: a message with its history, or what was refused.`,
		Example: `  graphrelay trace 06hhgq2g00dcrdpj
  graphrelay trace '<20260131.1@erp.contoso.com>'
  graphrelay trace customer@example.org --since 2d
  graphrelay trace 10.1.2.17 --since 1h
  graphrelay trace --client printers --since 1d
  graphrelay trace --from notifications@contoso.com --since "2026-01-31 08:00" --until "2026-01-31 09:00"`,
		Args: arguments(0, 1, "a queue ID, a Message-ID, a recipient or an address of a client"),
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
	f.StringVar(&flags.to, "to", "", "to this recipient `ADDRESS`")
	f.StringVar(&flags.from, "from", "", "with this `ADDRESS` as From or reverse-path")
	f.StringVar(&flags.client, "client", "", "from this client, a `NAME` of the configuration or an IP address")
	f.StringVar(&flags.messageID, "message-id", "", "with this Message-`ID`")
	f.StringVar(&flags.since, "since", "",
		"accepted at this `MOMENT` or later: a date, \"DATE HH:MM\", or how long ago, as in 4h or 2d")
	f.StringVar(&flags.until, "until", "", "accepted before this `MOMENT`")
	f.IntVar(&flags.limit, "limit", 20, "at most `N` messages")
	f.BoolVar(&flags.asJSON, "json", false, "print JSON")
	return cmd
}

// sought is a queue ID, or filters that are tried until one finds something.
type sought struct {
	id      envelope.QueueID
	filters []spool.Filter
}

func (t *traceFlags) read(args []string, now time.Time) (s sought, err error) {
	f := spool.Filter{Newest: true, MessageID: bracketed(t.messageID)}
	f.Client, f.ClientIP = clientOrAddress(t.client)
	err = errors.Join(parseAddressFlag("to", t.to, &f.Recipient), parseAddressFlag("from", t.from, &f.Sender))
	for _, m := range []struct {
		flag, value string
		to          *time.Time
	}{{"since", t.since, &f.Since}, {"until", t.until, &f.Until}} {
		if m.value != "" && err == nil {
			if *m.to, err = parseMoment(m.value, now); err != nil {
				err = fmt.Errorf("--%s %w", m.flag, err)
			}
		}
	}
	switch {
	case err != nil:
		return s, err
	case t.limit < 1:
		return s, errors.New("--limit must be at least 1")
	case !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until):
		return s, errors.New("--since must be before --until")
	case len(args) == 1:
		return soughtBy(args[0], f)
	case t.to+t.from+t.client+t.messageID+t.since+t.until == "":
		return s, errors.New("which message? Give a queue ID, a Message-ID or a recipient, or --to, --from, " +
			"--client, --since")
	}
	return sought{filters: []spool.Filter{f}}, nil
}

// soughtBy decides what an argument is. An address can be a recipient, or a
// Message-ID that lost its brackets, or a sender.
func soughtBy(arg string, f spool.Filter) (sought, error) {
	if id, err := envelope.ParseQueueID(arg); err == nil {
		return sought{id: id}, nil
	}
	byID := f
	byID.MessageID = bracketed(arg)
	if strings.HasPrefix(arg, "<") {
		return sought{filters: []spool.Filter{byID}}, nil
	}
	if _, f.ClientIP = clientOrAddress(arg); f.ClientIP.IsValid() {
		return sought{filters: []spool.Filter{f}}, nil
	}
	a, err := envelope.ParseAddress(arg)
	if err != nil {
		return sought{}, fmt.Errorf("%q is not a queue ID (16 characters), a Message-ID (<...>) or an address", arg)
	}
	to, from := f, f
	to.Recipient, from.Sender = a, a
	return sought{filters: []spool.Filter{to, byID, from}}, nil
}

func (t *traceFlags) trace(cmd *cobra.Command, q queueReader, s sought) error {
	found, err := t.find(cmd.Context(), q, s)
	if err != nil {
		return err
	}
	refused, err := findRefusals(cmd.Context(), q, refusalFilters(s.filters), t.limit)
	if err != nil {
		return err
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
	for _, f := range s.filters {
		err := pages(ctx, q, f, t.limit, func(page []admin.Message) error {
			for _, m := range page {
				if err := show(envelope.QueueID(m.QueueID)); err != nil && !errors.Is(err, spool.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	return found, nil
}

func printTrace(w io.Writer, d *admin.Detail, now time.Time) {
	p, m := terminal.NewPainter(w), d.Message
	fmt.Fprintf(w, "%s  %s  %s\n", p.Paint(terminal.Bold, m.QueueID), p.Paint(stateColour(m.State), m.State),
		m.Accepted.Format(time.RFC3339))
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
