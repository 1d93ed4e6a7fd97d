package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay"
	"graphrelay/relay/admin"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// queueReader is what the queue commands need: a running service, or the store
// of a stopped one.
type queueReader interface {
	List(ctx context.Context, f spool.Filter) ([]admin.Message, error)
	Show(ctx context.Context, id envelope.QueueID) (*admin.Detail, error)
}

// withQueue asks the running service, and where none answers opens its store.
func withQueue(ctx context.Context, file string, ask func(queueReader) error) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	err = ask(admin.Dial(c.Admin.Address.Address))
	if !errors.Is(err, admin.ErrNotRunning) {
		return err
	}
	store, openErr := relay.OpenStopped(ctx, c)
	if openErr != nil {
		return fmt.Errorf("%w; and its store cannot be read: %v", err, openErr)
	}
	defer store.Close()
	return ask(admin.Queue{Store: store})
}

func newQueue() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look at the queue",
		Example: `  graphrelay queue list
  graphrelay queue list --state held --json
  graphrelay queue show 06hhgq2g00dcrdpj`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQueueList(), newQueueShow())
	return cmd
}

func newQueueList() *cobra.Command {
	var file, mailbox string
	var states []string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the messages that are not sent yet: queued, active, held, failed, damaged",
		Example: `  graphrelay queue list
  graphrelay queue list --state sent --limit 20
  graphrelay queue list --mailbox notifications@contoso.com --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := listFilter(states, mailbox, limit)
			if err != nil {
				return usageError{err}
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error {
				list, err := listAll(cmd.Context(), q, f)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printList(cmd.OutOrStdout(), list, time.Now())
			})
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringSliceVar(&states, "state", nil, "only these `STATES`: queued, active, held, sent, bounced, failed, damaged")
	cmd.Flags().StringVar(&mailbox, "mailbox", "", "only this `MAILBOX`")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most `N` messages")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listFilter(states []string, mailbox string, limit int) (spool.Filter, error) {
	f := spool.Filter{Limit: limit, States: []spool.State{spool.Queued, spool.Active, spool.Held, spool.Failed, spool.Damaged}}
	if limit < 1 {
		return f, errors.New("--limit must be at least 1")
	}
	if len(states) > 0 {
		f.States = nil
	}
	for _, s := range states {
		switch st := spool.State(s); st {
		case spool.Queued, spool.Active, spool.Held, spool.Sent, spool.Bounced, spool.Failed, spool.Damaged:
			f.States = append(f.States, st)
		default:
			return f, fmt.Errorf("--state %q is none of queued, active, held, sent, bounced, failed, damaged", s)
		}
	}
	if mailbox == "" {
		return f, nil
	}
	var err error
	f.Mailbox, err = envelope.ParseAddress(mailbox)
	return f, err
}

// listAll fetches page after page up to f.Limit messages.
func listAll(ctx context.Context, q queueReader, f spool.Filter) ([]admin.Message, error) {
	list := []admin.Message{}
	for want := f.Limit; want > 0; want = f.Limit - len(list) {
		page := f
		page.Limit = min(want, 1000)
		got, err := q.List(ctx, page)
		if err != nil {
			return nil, err
		}
		list = append(list, got...)
		if len(got) < page.Limit {
			break
		}
		f.After = envelope.QueueID(got[len(got)-1].QueueID)
	}
	return list, nil
}

// printList keeps a line of 80 columns for each message, as postqueue does.
func printList(w io.Writer, list []admin.Message, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "The queue is empty.")
		return err
	}
	t := newTable(w)
	fmt.Fprintln(t, "QUEUE ID\tSTATE\tAGE\tSIZE\tFROM\tTO")
	for _, m := range list {
		to := ""
		if len(m.Recipients) > 0 {
			to = short(visible(m.Recipients[0]), 20)
		}
		if n := len(m.Recipients); n > 1 {
			to = fmt.Sprintf("%s +%d", short(to, 16), n-1)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", m.QueueID, m.State, ago(now.Sub(m.Accepted)), byteSize(m.Size), short(visible(m.From), 18), to)
	}
	return t.Flush()
}

func newQueueShow() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show QUEUE-ID",
		Short:   "Show one message: envelope, history and header",
		Example: `  graphrelay queue show 06hhgq2g00dcrdpj`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := envelope.ParseQueueID(args[0])
			if err != nil {
				return usageError{err}
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error {
				d, err := q.Show(cmd.Context(), id)
				if errors.Is(err, spool.ErrNotFound) {
					return fmt.Errorf("no message %s; its history may have ended (queue.history)", id)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), d)
				}
				return printDetail(cmd.OutOrStdout(), d)
			})
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printDetail(w io.Writer, d *admin.Detail) error {
	m := d.Message
	t := newTable(w)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", name, visible(value))
		}
	}
	row("Queue ID", m.QueueID)
	row("State", m.State)
	row("Reason", strings.TrimSpace(m.Status+" "+m.Reason))
	row("Accepted", m.Accepted.Format(time.RFC3339))
	row("Next attempt", stamp(m.NextAttempt))
	row("Last attempt", stamp(m.LastAttempt))
	row("Attempts", fmt.Sprint(m.Attempts))
	row("Client", strings.TrimSpace(m.Client+" "+m.ClientAddr))
	row("Reverse-path", "<"+m.ReversePath+">")
	row("From", m.From)
	row("Mailbox", m.Mailbox)
	row("Recipients", strings.Join(m.Recipients, ", "))
	row("Message-ID", m.MessageID)
	row("Subject", m.Subject)
	row("Size", fmt.Sprint(m.Size))
	row("Graph request-id", m.RequestID)
	if err := t.Flush(); err != nil {
		return err
	}
	return printHistory(w, d)
}

func printHistory(w io.Writer, d *admin.Detail) error {
	fmt.Fprintln(w, "\nHistory:")
	for _, e := range d.History {
		fmt.Fprintf(w, "  %s  %s", e.At.Format(time.RFC3339), e.Event)
		if e.Attempt > 0 {
			fmt.Fprintf(w, " (attempt %d)", e.Attempt)
		}
		if e.Status != "" || e.Text != "" {
			fmt.Fprintf(w, ": %s", visible(strings.TrimSpace(e.Status+" "+e.Text)))
		}
		fmt.Fprintln(w)
	}
	if d.Header == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nHeader:\n%s", visibleLines(d.Header))
	return err
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}
