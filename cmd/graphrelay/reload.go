package main

import (
	"errors"

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay/admin"
)

func newReload() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running service read its configuration again",
		Long: `Make the running service read its configuration again, as systemctl reload and
SIGHUP do. It applies all of it or, if something is wrong, nothing; the command
then prints the mistakes and exits with code 2. Connections and messages in
progress are not disturbed.`,
		Example: `  graphrelay check && graphrelay reload`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := adminSocket(file)
			errReload := admin.Dial(socket).Reload(cmd.Context())
			var refused *admin.Refused
			switch {
			case errors.As(errReload, &refused):
				return usageError{refused}
			case errReload != nil && err != nil:
				return err
			}
			return errReload
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// adminSocket is where the service listens, by the configuration in file. If that
// is invalid, which a reload is to find out, it is the default path, with the
// error.
func adminSocket(file string) (string, error) {
	c, err := config.Load(file)
	if err != nil {
		return "/run/graphrelay/admin.sock", err
	}
	return c.Admin.Address.Address, nil
}
