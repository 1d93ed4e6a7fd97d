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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine everything that can be seen from this host; sends no mail",
		Long: `Examine everything that can be seen from this host, each line ok, warn or fail,
with what to do: files and their modes, ports and who holds them, disk, spool,
systemd, the way to Entra and Graph (name, connection, proxy, TLS, clock), the
credential, the token, and what the app may do with each mailbox. It sends no
mail and changes nothing. Run it as root, or as the service's user. Exit code 1:
something failed.`,
		Example: `  sudo graphrelay doctor`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			var all []doctor.Symptom
			w := cmd.OutOrStdout()
			doctor.Examine(cmd.Context(), c, versionString(), func(s doctor.Symptom) {
				if all = append(all, s); !asJSON {
					printStep(w, fmt.Sprintf("%-4s %-20s", s.Mark, s.About), s.Mark, s.Text, s.Remedy)
				}
			})
			if asJSON {
				if err := terminal.PrintJSON(w, all); err != nil {
					return err
				}
			}
			return judgement(all)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func judgement(all []doctor.Symptom) error {
	failed := 0
	for _, s := range all {
		if s.Mark == verify.Fail {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d examinations failed; each line above says what to do", failed, len(all))
	}
	return nil
}
