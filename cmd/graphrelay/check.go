package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay"
)

func newCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, the credentials' files, ports and folders; sends nothing",
		Long: `Check the configuration and report every mistake at once, each with its line
and what to write instead; then look at what it needs of this host: files,
their modes, folders, ports and credentials. Nothing is sent and no network is
used. Run it as the service's user to see what the service sees:

  sudo -u graphrelay graphrelay check`,
		Example: `  graphrelay check -c /etc/graphrelay/config.yaml`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			if found := config.Check(c); len(found) > 0 {
				return config.Errors(found)
			}
			if err := errors.Join(relay.CheckCredentials(c), relay.CheckCertificate(c)); err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d identities, %d senders, %d listeners: everything is in order\n",
				file, len(c.Identities), len(c.Senders), len(c.SMTP.Listeners))
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}
