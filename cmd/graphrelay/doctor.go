package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/config"
	"graphrelay/relay/doctor"
	"graphrelay/relay/verify"
)

func newDoctor() *cobra.Command {
	var file string
	var asJSON, egress bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine everything that can be checked from this host; sends no mail",
		Long: `Like check, and also asks Entra and Graph over the network. Each check prints ok,
warn or fail, with what to do: files and their modes, ports and the programs that
use them, disk, queue store, systemd, the connection to Entra and Graph (name,
proxy, TLS, clock), the credential, the token, and what the app may do with each
mailbox. It sends no mail and changes nothing. Run it as root or as the service's
user. The exit code is 1 if a check fails.

With --egress it prints instead every host and port that this configuration must
reach, and whether this host does: the list that the administrator of a firewall
asks for. Proxies are on it, and behind a proxy it says so.`,
		Example: `  sudo graphrelay doctor
  graphrelay doctor --egress`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			var all []doctor.Symptom
			w, failed := cmd.OutOrStdout(), 0
			report := func(s doctor.Symptom) {
				if s.Mark == verify.Fail {
					failed++
				}
				if all = append(all, s); !asJSON {
					printStep(w, fmt.Sprintf("%-4s %-20s", s.Mark, s.About), s.Mark, s.Text, s.Remedy)
				}
			}
			if egress {
				doctor.Egress(cmd.Context(), c, versionString(), report)
			} else {
				doctor.Examine(cmd.Context(), c, file, versionString(), report)
			}
			if asJSON {
				err = terminal.PrintJSON(w, all)
			}
			if err == nil && failed > 0 {
				err = fmt.Errorf("%d of %d checks failed; the lines above say what to do", failed, len(all))
			}
			return err
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&egress, "egress", false, "print which hosts and ports must be reached, and whether they are")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
