package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay/admin"
)

func newStatus() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Tell in one screen whether mail flows, and if not, why",
		Example: `  graphrelay status`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			s, err := admin.Dial(c.Admin.Address.Address).Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s, time.Now())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, s admin.Status, now time.Time) error {
	fmt.Fprintf(w, "graphrelay %s, running for %s, %d connections\n", s.Version, ago(now.Sub(s.Started)), s.Connections)
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "warning: %s\n", visible(warning))
	}
	if s.Healthy {
		fmt.Fprintln(w, "spool: healthy")
	} else {
		fmt.Fprintf(w, "spool: UNHEALTHY: %s\n", visible(s.Health))
	}
	fmt.Fprintf(w, "queue: %d queued, %d active, %d held, %d failed, %d damaged\n", s.Queued, s.Active, s.Held, s.Failed, s.Damaged)
	for _, h := range s.Holds {
		fmt.Fprintf(w, "hold: %s for %s: %s %s\n", visible(h.Key), ago(now.Sub(h.Since)), h.Status, visible(h.Text))
	}
	if len(s.Lanes) == 0 {
		return nil
	}
	t := newTable(w)
	fmt.Fprintln(t, "MAILBOX\tQUEUED\tACTIVE\tHELD\tOLDEST")
	for _, l := range s.Lanes {
		oldest := ""
		if l.Oldest != nil {
			oldest = ago(now.Sub(*l.Oldest))
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", short(visible(l.Mailbox), 40), l.Queued, l.Active, l.Held, oldest)
	}
	return t.Flush()
}
