package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay"
)

func newServe() *cobra.Command {
	var file string
	var sandbox bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the relay",
		Long: `Run the relay until SIGTERM or SIGINT. SIGHUP makes it read its configuration
again, as graphrelay reload does.

--sandbox runs it together with a double of Entra and Microsoft Graph, on loopback
and with a temporary store: try graphrelay without a tenant or a configuration.`,
		Example: `  graphrelay serve -c /etc/graphrelay/config.yaml
  graphrelay serve --sandbox`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sandbox {
				if cmd.Flags().Changed("config") {
					return usageError{fmt.Errorf("--sandbox cannot be combined with -c: it creates its own " +
						"configuration")}
				}
				return serveSandbox(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			log, level := newLog(cmd.ErrOrStderr(), c.Log)
			return serve(cmd.Context(), relay.Options{
				Config: c, Version: versionString(), Log: log, SubmitSocket: submitSocket(),
				Load:     func() (*config.Config, error) { return config.Load(file) },
				OnChange: func(c *config.Config) { level.Set(levelOf(c.Log)) },
				OnReload: func() func() { return notifyReload(log) },
			}, nil)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&sandbox, "sandbox", false, "run with a double of Microsoft 365, to try graphrelay")
	return cmd
}

// serve runs a relay until ctx ends and notifies systemd of its state.
func serve(ctx context.Context, o relay.Options, ready func()) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from here on it does not end the process
	defer signal.Stop(hup)
	r, err := relay.New(ctx, o)
	if err != nil {
		return err
	}
	o.Log.Info("ready", "version", o.Version, "listeners", r.Listeners(), "store", o.Config.Queue.Store.Path)
	notify(o.Log, daemon.SdNotifyReady)
	if ready != nil {
		ready()
	}
	stop := context.AfterFunc(ctx, func() { notify(o.Log, daemon.SdNotifyStopping) })
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go supervise(ctx, r, o.Log, done)
	go reloadOn(ctx, hup, r)
	err = r.Run(ctx)
	if err == nil {
		o.Log.Info("stopped")
	}
	return err
}

// reloadOn reloads at each signal; the outcome is in the log.
func reloadOn(ctx context.Context, hup <-chan os.Signal, r *relay.Relay) {
	for {
		select {
		case <-hup:
			_ = r.Reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// submitSocket is submit.sock in the folder that systemd made for the service
// (RuntimeDirectory=); without systemd there is none.
func submitSocket() string {
	dir := os.Getenv("RUNTIME_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "submit.sock")
}
