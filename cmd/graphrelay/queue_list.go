package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

func newQueueList() *cobra.Command {
	var file string
	var flags filterFlags
	var limit int
	var asJSON, newest bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the messages that are not sent, and why",
		Long: `List the messages that are not sent: queued, deferred, paused, sending, held, failed,
damaged; or, with --state, those in the states that you name. Below a message a
line says why it is not sent: for a deferred one when the next try is, for a paused
one which hold stops it.`,
		Example: `  graphrelay queue list
  graphrelay queue list --older 4h --client erp
  graphrelay queue list --state sent --newest --limit 20
  graphrelay queue list --mailbox notifications@contoso.com --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := flags.filter(time.Now())
			if err == nil && limit < 1 {
				err = errors.New("--limit must be at least 1")
			}
			if err != nil {
				return usageError{err}
			}
			if f.Newest = newest; len(f.States) == 0 {
				f.States = spool.Unsent()
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error {
				if asJSON {
					return listJSON(cmd, q, f, limit)
				}
				return listTable(cmd, q, f, limit)
			})
		},
	}
	configFlag(cmd, &file)
	flags.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most `N` messages")
	cmd.Flags().BoolVar(&newest, "newest", false, "newest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listJSON writes one array, a message at a time.
func listJSON(cmd *cobra.Command, q queueReader, f spool.Filter, limit int) error {
	w, between := cmd.OutOrStdout(), "["
	err := pages(cmd.Context(), q, f, limit, func(page []admin.Message) error {
		for _, m := range page {
			b, err := terminal.JSON(m, "  ")
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s\n  %s", between, b); err != nil {
				return err
			}
			between = ","
		}
		return nil
	})
	if err != nil {
		return err
	}
	if between == "[" {
		_, err = fmt.Fprintln(w, "[]")
		return err
	}
	_, err = fmt.Fprintln(w, "\n]")
	return err
}

func listTable(cmd *cobra.Command, q queueReader, f spool.Filter, limit int) error {
	w, count := cmd.OutOrStdout(), 0
	err := pages(cmd.Context(), q, f, limit, func(page []admin.Message) error {
		if len(page) == 0 {
			return nil
		}
		err := printList(w, page, time.Now(), count == 0)
		count += len(page)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case count == 0 && onlyStates(f):
		_, err = fmt.Fprintln(w, "The queue is empty.")
	case count == 0:
		_, err = fmt.Fprintln(w, "No message matches.")
	case count == limit:
		_, err = fmt.Fprintf(w, "%s; there may be more: --limit\n", messages(count))
	}
	return err
}

// onlyStates reports whether a filter selects only the default states.
func onlyStates(f spool.Filter) bool {
	return f.Mailbox.IsZero() && f.Recipient.IsZero() && f.Sender.IsZero() && f.ReversePath.IsZero() &&
		f.Client == "" &&
		!f.ClientIP.IsValid() && f.MessageID == "" && f.Since.IsZero() && f.Until.IsZero() &&
		len(f.States) == len(spool.Unsent())
}

// The widths of the list: 80 columns with two between each.
const (
	fromWidth   = 17
	toWidth     = 19
	reasonWidth = 76
)

// printList keeps a line of 80 columns for each message, as postqueue does, and
// one for the reason why it is still there.
func printList(w io.Writer, list []admin.Message, now time.Time, head bool) error {
	g := terminal.NewGrid(w, fmt.Sprintf("%-16s", "QUEUE ID"), fmt.Sprintf("%-8s", "STATE"), "AGE ", "SIZE  ",
		fmt.Sprintf("%-*s", fromWidth, "FROM"), "TO")
	for _, m := range list {
		g.Row(m.QueueID, m.State, terminal.Ago(now.Sub(m.Accepted)), terminal.Size(m.Size),
			terminal.Short(text.Line(m.From), fromWidth), listedRecipients(m.Recipients))
		if why := whyUnsent(m, now); why != "" {
			g.Note("    " + terminal.Short(text.Line(why), reasonWidth))
		}
	}
	if !head {
		g.Headless = true
	}
	return g.Print(func(column int, cell string) string {
		if column == 1 {
			return stateColour(cell)
		}
		return ""
	})
}

// whyUnsent is the reason why a message is still there; "" where there is none.
func whyUnsent(m admin.Message, now time.Time) string {
	reason := strings.TrimSpace(m.Status + " " + m.Reason)
	switch spool.State(m.State) {
	case spool.Paused:
		return text.ReadCause(m.PausedReason).Headline + " (hold " + m.PausedBy + ")"
	case spool.Deferred:
		return "next try " + nextTry(m, now) + ": " + reason
	case spool.Sent, spool.Sending, spool.Queued:
		return ""
	}
	return reason
}

// nextTry is when a message that waits is tried again.
func nextTry(m admin.Message, now time.Time) string {
	if m.NextAttempt.After(now) {
		return terminal.Ago(now.Sub(m.NextAttempt))
	}
	return "now"
}

func listedRecipients(list []string) string {
	if len(list) == 0 {
		return ""
	}
	more := ""
	if len(list) > 1 {
		more = fmt.Sprintf(" +%d", len(list)-1)
	}
	return terminal.Short(text.Line(list[0]), toWidth-len(more)) + more
}
