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
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// changeCommand is what the commands that change messages have in common.
type changeCommand struct {
	action operator.Action
	doing  string // for the meter
	done   string // for the last line
	file   string
	pick   selection
	asJSON bool
}

func (c *changeCommand) command(short, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: string(c.action) + " [QUEUE-ID...]", Short: short, Long: long, Example: example,
		Args: cobra.ArbitraryArgs, RunE: c.run,
	}
	configFlag(cmd, &c.file)
	c.pick.add(cmd)
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "print JSON")
	return cmd
}

func (c *changeCommand) run(cmd *cobra.Command, args []string) error {
	change, err := c.read(args)
	if err != nil {
		return err
	}
	service, err := dialService(cmd.Context(), c.file)
	if err != nil {
		return err
	}
	return c.do(cmd, service, change)
}

func (c *changeCommand) read(args []string) (operator.Change, error) {
	ids, f, err := c.pick.read(args, time.Now())
	if err != nil {
		return operator.Change{}, usageError{err}
	}
	return operator.Change{Action: c.action, IDs: ids, Filter: f}, nil
}

// dialService is the service that file configures. A mistake in the file of an
// installed service does not hide that service, which runs by what was in it before.
func dialService(ctx context.Context, file string) (*admin.Client, error) {
	socket, mistake := adminSocket(file)
	return dialAt(ctx, socket, mistake, file == installedConfig)
}

func dialAt(ctx context.Context, socket string, mistake error, installed bool) (*admin.Client, error) {
	service := admin.Dial(socket)
	if mistake != nil && (!installed || service.Answers(ctx) != nil) {
		return nil, mistake
	}
	return service, nil
}

// do makes the change and prints the result. IDs that could not be changed are a
// failure; messages that a filter finds in another state are not.
func (c *changeCommand) do(cmd *cobra.Command, service *admin.Client, change operator.Change) error {
	m := terminal.NewMeter(cmd.ErrOrStderr(), c.doing, expected(cmd, service, change))
	var last operator.Progress
	err := service.Change(cmd.Context(), change, func(p operator.Progress) {
		last = p
		m.Show(p.Changed + p.Skipped)
	})
	m.End()
	if err != nil {
		if last.Changed > 0 {
			err = fmt.Errorf("%w (after %s)", err, messages(last.Changed))
		}
		return err
	}
	if c.asJSON {
		err = terminal.PrintJSON(cmd.OutOrStdout(), last)
	} else {
		err = printProgress(cmd.OutOrStdout(), cmd.ErrOrStderr(), c.done, last)
	}
	if err == nil && len(change.IDs) > 0 && last.Skipped > 0 {
		return exitStatus(exitFailed)
	}
	return err
}

// expected is how many messages a change will affect, for the meter of a terminal;
// 0 if nobody looks, or if that is not known.
func expected(cmd *cobra.Command, service *admin.Client, change operator.Change) int {
	if !terminal.Is(cmd.ErrOrStderr()) {
		return 0
	}
	n, err := service.Count(cmd.Context(), change)
	if err != nil || n.More {
		return 0
	}
	return n.Messages
}

func printProgress(out, errOut io.Writer, done string, p operator.Progress) error {
	for _, e := range p.Errors {
		fmt.Fprintf(errOut, "skipped: %s\n", text.Line(e))
	}
	if more := p.Skipped - len(p.Errors); more > 0 {
		fmt.Fprintf(errOut, "skipped: %s\n", strings.Replace(messages(more), " ", " more ", 1))
	}
	defer printWaits(out, p.Waits, time.Now())
	if p.Changed+p.Skipped == 0 {
		fmt.Fprintln(out, "No message matches.")
	} else {
		fmt.Fprintf(out, "%s: %s\n", done, messages(p.Changed))
	}
	if p.MaySent > 0 {
		fmt.Fprintf(out, "%s of these may have been sent already and may arrive twice.\n", messages(p.MaySent))
	}
	return printProbed(out, p.Probed)
}

// shownWaits bounds the mailboxes that printWaits names.
const shownWaits = 10

// printWaits says where nothing is tried yet, though an operator asked for it.
func printWaits(out io.Writer, paused []state.Wait, now time.Time) {
	for i, p := range paused {
		if i == shownWaits {
			fmt.Fprintf(out, "... and %d more mailboxes: graphrelay status\n", len(paused)-i)
			return
		}
		fmt.Fprintf(out, "mailbox %s waits until %s (%s): %s\n", text.Line(p.Mailbox), p.Until.Format(time.RFC3339),
			terminal.Ago(now.Sub(p.Until)), p.Reason())
	}
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func newQueueRetry() *cobra.Command {
	c := &changeCommand{action: operator.Retry, doing: "retrying", done: "due now"}
	return c.command("Retry messages now",
		`Retry messages now instead of at their next attempt, and end the pauses of their
mailboxes that follow failed attempts. A time that Microsoft named, and a limit, are
kept to: the command prints until when. Flags and --all select queued, deferred and
paused messages only; failed and held messages are retried if you name them or add
--state. A message that may have been sent already is looked up in its
mailbox first where delivery.unknown_outcome is lookup; otherwise it is sent
again, and the command says how many of the messages that concerns.`,
		`  graphrelay queue retry 06hhgq2g00dcrdpj
  graphrelay queue retry --mailbox notifications@contoso.com
  graphrelay queue retry --state failed --newer 2d`)
}

func newQueueHold() *cobra.Command {
	c := &changeCommand{action: operator.HoldIt, doing: "holding", done: "held"}
	return c.command("Hold messages until you release them",
		`Keep messages from being sent until you release them, or until queue.max_hold,
when they fail. Flags and --all select queued, deferred and paused messages only.`,
		`  graphrelay queue hold 06hhgq2g00dcrdpj
  graphrelay queue hold --client 10.1.2.17 --newer 1h`)
}

func newQueueRelease() *cobra.Command {
	c := &changeCommand{action: operator.Release, doing: "releasing", done: "released"}
	var key string
	cmd := c.command("Send held messages now, and try now whether the holds of paused ones can end",
		`Send held messages now, and probe the holds that stop paused ones. A held message
that may have been sent already is sent again, without a look into its mailbox.
Flags and --all select held and paused messages only. Like retry, release makes
mailboxes try now that wait because attempts failed: --mailbox that one, --all all.

A hold ends when its probe, one message sent to find out, succeeds. --mailbox also
probes the holds of that mailbox where no mail waits for them, --all every hold, and
--hold only the hold with this key (graphrelay status lists the keys). The hold of an audit
(audit:IDENTITY) is checked by a new audit, and ends when Graph refuses the denied
mailbox again.`,
		`  graphrelay queue release 06hhgq2g00dcrdpj
  graphrelay queue release --mailbox notifications@contoso.com
  graphrelay queue release --hold identity:contoso`)
	cmd.Flags().StringVar(&key, "hold", "", "probe the hold with this `KEY` now")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if key != "" && (len(args) > 0 || c.pick.given() || c.pick.all) {
			return usageError{errors.New("--hold cannot be combined with messages: it names a hold")}
		}
		return c.release(cmd, args, key)
	}
	return cmd
}

func (c *changeCommand) release(cmd *cobra.Command, args []string, key string) error {
	service, err := dialService(cmd.Context(), c.file)
	if err != nil {
		return err
	}
	if key != "" {
		return probe(cmd, service, key)
	}
	change, err := c.read(args)
	if err != nil {
		return err
	}
	return c.do(cmd, service, change)
}

// probe starts a probe of one hold.
func probe(cmd *cobra.Command, service *admin.Client, key string) error {
	keys, err := service.Probe(cmd.Context(), key, envelope.Address{})
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fmt.Errorf("no hold %q; `graphrelay status` lists them", key)
	}
	return printProbed(cmd.OutOrStdout(), keys)
}

func printProbed(out io.Writer, keys []string) error {
	for _, k := range keys {
		doing, until := "probing", "a message is delivered"
		if _, audited := state.AuditedIdentity(k); audited {
			doing, until = "auditing for", "Graph refuses the denied mailbox"
		}
		fmt.Fprintf(out, "%s hold %s; it ends when %s (graphrelay status shows it)\n", doing, text.Line(k), until)
	}
	return nil
}

func newQueueDelete() *cobra.Command {
	c := &changeCommand{action: operator.Delete, doing: "deleting", done: "deleted"}
	var yes bool
	cmd := c.command("Delete messages permanently",
		`Delete messages permanently, without a report to anyone. Their history stays for
queue.history. Flags and --all select all but those that are sending, sent or deleted.
The command says how many messages that is and asks for confirmation; without a
terminal it needs --yes. Messages that arrive after the question stay.`,
		`  graphrelay queue delete 06hhgq2g00dcrdpj
  graphrelay queue delete --client printers --subject "Scan to mail"
  graphrelay queue delete --recipient typo@exmaple.org --yes
  graphrelay queue delete --state failed --older 7d`)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := c.read(args)
		if err != nil {
			return err
		}
		if !yes && !terminal.Is(cmd.InOrStdin()) {
			return usageError{errors.New("delete needs a confirmation, and standard input is not a terminal: add " +
				"--yes to delete permanently")}
		}
		service, err := dialService(cmd.Context(), c.file)
		if err != nil {
			return err
		}
		if !yes {
			n, err := service.Count(cmd.Context(), change)
			if err != nil {
				return err
			}
			if n.Messages > 0 && !terminal.Confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), deleteQuestion(n)) {
				return errors.New("nothing was deleted")
			}
			change.Filter.Until = n.Until
		}
		return c.do(cmd, service, change)
	}
	return cmd
}

// deleteQuestion says how many messages would go.
func deleteQuestion(n operator.Counted) string {
	more := ""
	if n.More {
		more = " or more"
	}
	return fmt.Sprintf("Delete %s%s permanently?", messages(n.Messages), more)
}
