package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/config"
	"graphrelay/relay/move"
	"graphrelay/relay/spool/tables"
	"graphrelay/relay/text"
)

func newQueueMove() *cobra.Command {
	var file, to string
	var abort bool
	cmd := &cobra.Command{
		Use:   "move --to-config FILE",
		Short: "Move the queue of a stopped service into the store of another configuration",
		Long: `Move the queue of a stopped service into the store that another configuration
names: from a file into a PostgreSQL database, back, or into another file. Everything
goes along: the mail, the history, holds, reports that are owed, refusals, and attempts
of unknown outcome. The other store must be empty.

If the command is interrupted, run it again: it continues where it was. Until then the
service refuses to start with either store. --abort undoes a move that has not ended: the
other store is emptied, and the queue is where it was. After the move, the service
refuses to start with the old store, which is never sent from again.`,
		Example: `  graphrelay queue move --to-config /etc/graphrelay/new.yaml
  graphrelay queue move --to-config /etc/graphrelay/new.yaml --abort`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError{errors.New("--to-config is missing: name the configuration with the new store")}
			}
			return moveQueue(cmd, file, to, abort)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&to, "to-config", "", "configuration `FILE` that names the new store")
	cmd.Flags().BoolVar(&abort, "abort", false, "undo a move that has not ended")
	return cmd
}

func moveQueue(cmd *cobra.Command, file, to string, abort bool) (err error) {
	var configs [2]*config.Config
	for i, f := range []string{file, to} {
		if configs[i], err = config.Load(f); err != nil {
			return err
		}
	}
	stores, err := move.Open(cmd.Context(), configs[0], configs[1], func(node string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "node %s works on the queue; waiting for up to 20 s, in case it has crashed\n",
			text.Line(node))
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	out := cmd.OutOrStdout()
	ctx := cmd.Context()
	if abort {
		err = tables.Abort(ctx, stores.From, stores.To, func(tables.Carried) error { return ctx.Err() })
		if err == nil {
			fmt.Fprintf(out, "undone: the queue is in %s\n", stores.From.Name)
			fmt.Fprintln(out, "next: start the service with the configuration as it was")
		}
		return err
	}
	m := terminal.NewMeter(cmd.ErrOrStderr(), "moving", stores.From.Store.Queued())
	c, err := tables.Move(ctx, stores.From, stores.To, func(c tables.Carried) error {
		m.Show(c.Messages)
		return ctx.Err()
	})
	m.End()
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted: run the same command again, or undo the move with --abort")
		}
		return err
	}
	printMoved(out, stores, c, file, to)
	return nil
}

func printMoved(out io.Writer, stores *move.Stores, c tables.Carried, file, to string) {
	fmt.Fprintf(out, "moved: %s (%d of them in the queue), %d MiB of mail\n", messages(c.Messages), c.Queued,
		c.Bytes>>20)
	fmt.Fprintf(out, "with: %d events of history, %d holds, %d refusals\n", c.Events, c.Holds, c.Refusals)
	if c.Unreadable > 0 {
		fmt.Fprintf(out, "damaged: %d parts of messages could not be read; "+
			"graphrelay queue list --state damaged names the messages once they are tried\n", c.Unreadable)
	}
	fmt.Fprintf(out, "from: %s, which is never sent from again\n", stores.From.Name)
	fmt.Fprintf(out, "to: %s\n", stores.To.Name)
	fmt.Fprintf(out, "next: put %s in the place of %s, and start the service; ", to, file)
	fmt.Fprintln(out, "delete the old store when all is well")
}
