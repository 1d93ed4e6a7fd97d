package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay/doctor"
)

func newCheck() *cobra.Command {
	var file string
	var show, answer bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, credential files, ports and folders; sends nothing",
		Long: `Check the configuration and report every mistake at once, each with its line
and what to write instead; then check the files, modes, folders, ports and
credentials that the configuration names. Of the network only the database of
queue.store_url_file is asked; for the rest see doctor.

Run it as root: it then judges as the service, with its user and in its sandbox, as
systemd has them for graphrelay.service; what passes starts. Without systemd, or as
another user, it judges by the IDs of a user alone. The first line says which.

A warning is about something that works, but not for much mail, or not for every
client; it does not change the exit code.

--show prints the configuration with every default filled in, and checks nothing
else. The output contains no secrets: files are named but not read, and password
hashes are left out.`,
		Example: `  graphrelay check -c /etc/graphrelay/config.yaml
  graphrelay check --show`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if answer {
				return doctor.Answer(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			if show {
				text, err := config.Show(c)
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(cmd.OutOrStdout(), text)
				return err
			}
			return report(cmd.OutOrStdout(), file, c, doctor.CheckHost(cmd.Context(), c, file))
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&show, "show", false, "print the configuration with every default filled in, without secrets")
	cmd.Flags().BoolVar(&answer, "answer", false, "answer the question on standard input, in the place of the service")
	_ = cmd.Flags().MarkHidden("answer")
	return cmd
}

// report prints what was found: for whom, warnings, then what is wrong or that
// nothing is.
func report(w io.Writer, file string, c *config.Config, h doctor.Host) error {
	fmt.Fprintln(w, h.As)
	order := "everything is in order"
	for _, warning := range h.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
		order = "nothing is wrong, but see the warnings above"
	}
	switch {
	case len(h.Found) > 0:
		return config.Errors(h.Found)
	case h.Wrong != "":
		return usageError{errors.New(h.Wrong)}
	}
	_, err := fmt.Fprintf(w, "%s: %d identities, %d senders, %d listeners: %s\n",
		file, len(c.Identities), len(c.Senders), len(c.SMTP.Listeners), order)
	if h.Next != "" {
		_, err = fmt.Fprintf(w, "start it: %s\n", h.Next)
	}
	return err
}
