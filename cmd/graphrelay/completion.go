package main

import "github.com/spf13/cobra"

// ownCompletion creates cobra's command for completion scripts early, and makes it
// like the others: with examples, and with our errors.
func ownCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // cobra creates it later, with its defaults
	}
	cmd.Short = "Print the shell completion script"
	cmd.Args, cmd.Example = noArguments, "  graphrelay completion bash > /etc/bash_completion.d/graphrelay"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range cmd.Commands() {
		shell.Args, shell.Example = noArguments, "  graphrelay completion "+shell.Name()
	}
}
