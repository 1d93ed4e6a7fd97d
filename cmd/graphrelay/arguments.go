package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noArguments is for commands that take flags only, or commands of their own.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return usageError{fmt.Errorf("unknown command %q; `%s --help` lists the commands", args[0], cmd.CommandPath())}
	}
	return usageError{fmt.Errorf("unexpected argument %q: `%s` takes only flags, as in `%s`", args[0],
		cmd.CommandPath(), example(cmd))}
}

// arguments is for commands that take from least to most words; what is one of
// them, as the reader knows it.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("%s is missing, as in `%s`", what, example(cmd))}
		case len(args) > most:
			return usageError{fmt.Errorf("unexpected argument %q: `%s` takes only %s, as in `%s`", args[most],
				cmd.CommandPath(), what, example(cmd))}
		}
		return nil
	}
}

// example is the first that the help of a command shows.
func example(cmd *cobra.Command) string {
	first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return first
}

// flagError rewrites an error about a flag to say what to write.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		what, _ := pflag.UnquoteUsage(missing.GetFlag())
		err = fmt.Errorf("--%s needs a value: write --%s %s", missing.GetFlag().Name, missing.GetFlag().Name, what)
	case errors.As(err, &bad):
		err = fmt.Errorf("invalid value %[2]q for --%[1]s: write %[3]s", bad.GetFlag().Name, bad.GetValue(),
			valueOf(bad.GetFlag()))
	}
	return usageError{fmt.Errorf("%w; `%s --help` shows the flags", err, cmd.CommandPath())}
}

// valueOf says how the value of a flag is written.
func valueOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a time with its unit, as in 30s, 10m or 2h"
	case "int":
		return "a number"
	case "bool":
		return "the flag alone"
	}
	what, _ := pflag.UnquoteUsage(f)
	return what
}

// plainSwitches keeps "[=true|false]" out of the help of c and its commands: pflag
// writes it at each switch.
func plainSwitches(c *cobra.Command) {
	usage := c.UsageFunc()
	c.SetUsageFunc(func(c *cobra.Command) error {
		var b strings.Builder
		out := c.OutOrStderr()
		c.SetOut(&b)
		defer c.SetOut(out)
		if err := usage(c); err != nil {
			return err
		}
		const noise = "[=true|false]"
		_, err := io.WriteString(out, strings.ReplaceAll(b.String(), noise, strings.Repeat(" ", len(noise))))
		return err
	})
}
