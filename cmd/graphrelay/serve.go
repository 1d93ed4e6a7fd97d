package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

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
		Long: `Run the relay until SIGTERM or SIGINT.

With --sandbox it runs beside a double of Entra and Microsoft Graph, on loopback
and with a temporary store: a try-out that needs no tenant and no configuration.`,
		Example: `  graphrelay serve -c /etc/graphrelay/config.yaml
  graphrelay serve --sandbox`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sandbox {
				if cmd.Flags().Changed("config") {
					return usageError{fmt.Errorf("--sandbox takes no -c: it makes its own configuration")}
				}
				return serveSandbox(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), relay.Options{Config: c, Version: versionString(), Log: newLog(cmd.ErrOrStderr(), c.Log), SubmitSocket: submitSocket()}, nil)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&sandbox, "sandbox", false, "run with a double of Microsoft 365, to try graphrelay out")
	return cmd
}

// serve runs a relay until ctx ends and tells systemd how it is.
func serve(ctx context.Context, o relay.Options, ready func()) error {
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
	err = r.Run(ctx)
	if err == nil {
		o.Log.Info("stopped")
	}
	return err
}

// notify tells systemd, where it started us, about a change of state.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "cause", err)
	}
}

func newLog(w io.Writer, c config.Log) *slog.Logger {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	o := &slog.HandlerOptions{Level: level[c.Level]}
	if os.Getenv("JOURNAL_STREAM") != "" {
		// journald stamps each line itself.
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// submitSocket is submit.sock in the folder that systemd made for us
// (RuntimeDirectory=); started in another way there is none.
func submitSocket() string {
	dir := os.Getenv("RUNTIME_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "submit.sock")
}
