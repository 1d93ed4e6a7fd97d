package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/config"
	"graphrelay/relay/admin"
	"graphrelay/relay/doctor"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// queueReader is what the reading commands need: a running service, or the
// store of a stopped one.
type queueReader interface {
	List(ctx context.Context, f spool.Filter) ([]admin.Message, error)
	Show(ctx context.Context, id envelope.QueueID) (*admin.Detail, error)
	Body(ctx context.Context, id envelope.QueueID) (io.ReadCloser, error)
	refusalReader
}

// withQueue asks the running service, and where none answers opens its store.
func withQueue(ctx context.Context, file string, ask func(queueReader) error) error {
	service, err := dialService(ctx, file)
	if err != nil {
		return err
	}
	// Checked first, because ask must run only once: it may have made files before it fails.
	if err = service.Answers(ctx); err == nil {
		return ask(service)
	}
	c, errConfig := config.Load(file)
	if errConfig != nil {
		return errConfig
	}
	store, openErr := doctor.OpenStopped(ctx, c)
	if errors.Is(openErr, doctor.ErrNoStore) {
		return fmt.Errorf("no service answers at %s, and %w", c.Admin.Address, openErr)
	}
	if openErr != nil {
		return fmt.Errorf("%w; and its store cannot be read: %v", err, openErr)
	}
	defer store.Close()
	return ask(admin.Queue{Store: store})
}

func newQueue() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Show the queue, and retry, hold, release, delete or export messages",
		Long: `Show the queue, and retry, hold, release, delete or export messages.

Commands that change messages take queue IDs, flags that select, or --all. list,
show and export also read the store of a stopped service; the other commands need
the running service. Control and other invisible characters in a message's text
are shown as escapes.`,
		Example: `  graphrelay queue list
  graphrelay queue list --state held --client erp
  graphrelay queue show 06hhgq2g00dcrdpj
  graphrelay queue release --mailbox notifications@contoso.com`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQueueList(), newQueueShow(), newQueueRetry(), newQueueHold(), newQueueRelease(), newQueueDelete(),
		newQueueExport(), newQueueMove())
	return cmd
}

// noMessage says why a message may be missing.
func noMessage(id envelope.QueueID, err error) error {
	if errors.Is(err, spool.ErrNotFound) {
		return fmt.Errorf("no message %s; its history may have expired (queue.history)", id)
	}
	return err
}

// pages fetches page after page up to limit messages and hands each over.
func pages(ctx context.Context, q queueReader, f spool.Filter, limit int, do func([]admin.Message) error) error {
	for got := 0; got < limit; {
		f.Limit = min(limit-got, 500)
		page, err := q.List(ctx, f)
		if err != nil {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		if got += len(page); len(page) < f.Limit {
			return nil
		}
		f.After = envelope.QueueID(page[len(page)-1].QueueID)
	}
	return nil
}

// stateColour shows at a glance whether action is needed.
func stateColour(state string) string {
	switch state {
	case "held", "deferred", "delayed":
		return terminal.Yellow
	case "paused", "failed", "damaged", "bounced":
		return terminal.Red
	case "sent":
		return terminal.Green
	}
	return ""
}
