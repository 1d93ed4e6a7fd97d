package main

import "github.com/spf13/cobra"

// ownCompletion makes cobra's command for completion scripts here and now, and
// one like the others: with examples, and errors in words of ours.
func ownCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // cobra makes it later, as it comes
	}
	cmd.Short = "Print the completion of commands and flags for a shell"
	cmd.Args, cmd.Example = noArguments, "  graphrelay completion bash > /etc/bash_completion.d/graphrelay"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range cmd.Commands() {
		shell.Args, shell.Example = noArguments, "  graphrelay completion "+shell.Name()
	}
}
