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
		Short: "Examine everything that can be checked from this host; sends no mail",
		Long: `Examine everything that can be checked from this host, and print for each check
ok, warn or fail, with what to do: files and their modes, ports and the programs
that use them, disk, spool, systemd, the connection to Entra and Graph (name,
proxy, TLS, clock), the credential, the token, and what the app may do with each
mailbox. It sends no mail and changes nothing. Run it as root or as the service's
user. The exit code is 1 if a check fails.`,
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
		return fmt.Errorf("%d of %d checks failed; the lines above say what to do", failed, len(all))
	}
	return nil
}
