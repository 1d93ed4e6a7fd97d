// Command graphrelay is a local SMTP relay to Microsoft 365 through Microsoft
// Graph. This package parses flags, handles signals and prints; everything that
// decides or acts is below relay.
//
// Exit codes: 0 done, 1 failed, 2 usage or configuration; as sendmail those of sysexits.h.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
	_ "time/tzdata" // the image has no files of time zones

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay/text"
)

// Exit codes of every command but sendmail and verify; a program may rely on them.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	patient := make(chan struct{})
	ctx = context.WithValue(ctx, patience{}, sync.OnceFunc(func() { close(patient) }))
	go endBlocked(ctx, patient, stop)
	os.Exit(run(ctx, commandLine(os.Args), os.Stdout, os.Stderr))
}

// patience is the key of the function that endsByItself calls.
type patience struct{}

// endsByItself says that this command ends in its own time once ctx has ended.
func endsByItself(ctx context.Context) {
	if say, ok := ctx.Value(patience{}).(func()); ok {
		say()
	}
}

// endBlocked ends the program soon after its signal, unless it does so by itself: a
// file that is a pipe, or a disk that does not answer, heeds no context. Another
// signal ends it at once.
func endBlocked(ctx context.Context, patient <-chan struct{}, stop func()) {
	select {
	case <-patient:
		return
	case <-ctx.Done():
	}
	stop()
	select {
	case <-patient:
	case <-time.After(2 * time.Second):
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var usage usageError
	var invalid config.Errors
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &invalid):
		fmt.Fprintln(stderr, invalid) // a line for each, FILE:LINE: first, as editors read them
		return exitUsage
	}
	fmt.Fprintf(stderr, "graphrelay: %s\n", text.Lines(err.Error())) // a server's words may be in it
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line that makes no sense; it ends in exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "graphrelay",
		Short: "Relay SMTP mail to Microsoft 365 through Microsoft Graph",
		Long: `graphrelay runs on the local network, accepts mail from software that can only
speak SMTP, keeps it safe on disk, and sends it through Microsoft Graph with an
Entra application that is restricted to a few mailboxes.

Try it without a tenant:   graphrelay serve --sandbox
Check a configuration:     graphrelay check -c /etc/graphrelay/config.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	plainSwitches(root)
	root.AddCommand(newServe(), newCheck(), newSandbox(), newCert(), newSend(), newSendmail(), newPasswd(), newVerify(),
		newSetup(), newDoctor(), newQueue(), newReload(), newStatus(), newTrace(), newVersion())
	ownCompletion(root)
	return root
}

// installedConfig is the configuration of a service of the packages or the image.
const installedConfig = "/etc/graphrelay/config.yaml"

// defaultConfig is where the configuration is read from without -c.
func defaultConfig() string {
	if f := os.Getenv("GRAPHRELAY_CONFIG"); f != "" {
		return f
	}
	return installedConfig
}

// configFlag adds -c, which every command takes that reads the configuration.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", defaultConfig(), "configuration `FILE`")
}

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

// version is set by the linker (make build); a plain `go build` leaves it empty.
var version string

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "0.0.0-devel"
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of graphrelay and Go",
		Example: `  graphrelay version`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "graphrelay %s %s %s/%s\n", versionString(), runtime.Version(),
				runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
