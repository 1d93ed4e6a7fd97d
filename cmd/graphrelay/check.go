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
	var show bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, credential files, ports and folders; sends nothing",
		Long: `Check the configuration and report every mistake at once, each with its line
and what to write instead; then check the files, modes, folders, ports and
credentials that the configuration names. The network is not used; for that see
doctor. Run it as the service's user to see what the service sees:

  sudo -u graphrelay graphrelay check

A warning is about something that works, but not for much mail; it does not
change the exit code.

--show prints the configuration with every default filled in, and checks nothing
else. The output contains no secrets: files are named but not read, and password
hashes are left out.`,
		Example: `  graphrelay check -c /etc/graphrelay/config.yaml
  graphrelay check --show`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			if found := config.Check(c); len(found) > 0 {
				return config.Errors(found)
			}
			if err := errors.Join(doctor.CheckCredentials(c), doctor.CheckCertificate(c)); err != nil {
				return usageError{err}
			}
			return printSound(cmd.OutOrStdout(), file, c)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&show, "show", false, "print the configuration with every default filled in, without secrets")
	return cmd
}

// printSound says what works but is worth a warning, and that nothing is wrong.
func printSound(w io.Writer, file string, c *config.Config) error {
	order := "everything is in order"
	for _, warning := range config.Warnings(c) {
		fmt.Fprintf(w, "warning: %s\n", warning)
		order = "nothing is wrong, but see the warnings above"
	}
	_, err := fmt.Fprintf(w, "%s: %d identities, %d senders, %d listeners: %s\n",
		file, len(c.Identities), len(c.Senders), len(c.SMTP.Listeners), order)
	return err
}
