package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"graphrelay/config"
	"graphrelay/relay"
	"graphrelay/relay/admin"
	"graphrelay/relay/socket"
	"graphrelay/relay/text"
	"graphrelay/relay/watchfile"
)

func newServe() *cobra.Command {
	var file string
	var sandbox, watch bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the relay",
		Long: `Run the relay until SIGTERM or SIGINT. SIGHUP makes it read its configuration
again, as graphrelay reload does.

--watch-config does so by itself within seconds of a change of the file, as in a
container, where the file is mounted from a ConfigMap. A file that is refused is
logged and raises an alert, and the old configuration stays in force; the file is
tried again after ten seconds, then less and less often, and at its next change.

--sandbox runs it together with a double of Entra and Microsoft Graph and with the
console, on loopback and with a temporary store, so that you can try graphrelay
without a tenant or a configuration.`,
		Example: `  graphrelay serve -c /etc/graphrelay/config.yaml
  graphrelay serve --watch-config -c /etc/graphrelay/config.yaml
  graphrelay serve --sandbox`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sandbox {
				if cmd.Flags().Changed("config") || watch {
					return usageError{errors.New("--sandbox cannot be combined with -c or --watch-config: " +
						"it creates its own configuration")}
				}
				return serveSandbox(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return serveFile(cmd.Context(), cmd.ErrOrStderr(), file, watch)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&watch, "watch-config", false, "reload when the configuration file changes")
	cmd.Flags().BoolVar(&sandbox, "sandbox", false, "run with a double of Microsoft 365, to try graphrelay")
	return cmd
}

// serveFile runs the relay that a file configures.
func serveFile(ctx context.Context, errOut io.Writer, file string, watch bool) error {
	sockets, err := socket.Inherited()
	if err != nil {
		return fmt.Errorf("sockets of systemd: %w", err)
	}
	var watched *watchfile.Files
	if watch {
		watched = watchfile.New(file) // before it is read
	}
	c, err := config.Load(file)
	if err != nil {
		relay.TurnAway(sockets)
		return err
	}
	secrets := text.NewRedactor()
	lines := newLogLines(errOut)
	defer lines.Close()
	log, level := newLog(lines, c.Log, secrets)
	go lines.reportTo(log, time.Second)
	return serve(ctx, relay.Options{
		Config: c, Version: versionString(), Log: log, Secrets: secrets, SubmitSocket: submitSocket(),
		Inherited: sockets, LogLost: lines.Lost,
		Load:     func() (*config.Config, error) { return config.Load(file) },
		OnChange: func(c *config.Config) { level.Set(levelOf(c.Log)) },
		OnReload: func() func() { return notifyReload(log) },
	}, watched, nil)
}

// serve runs a relay until ctx ends and notifies systemd of its state. It reloads
// when a file of watched changes; watched and ready may be nil.
func serve(ctx context.Context, o relay.Options, watched *watchfile.Files, ready func()) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from here on it does not end the process
	defer signal.Stop(hup)
	withoutCore(o.Log)
	r, err := relay.New(ctx, o)
	if err != nil && ctx.Err() != nil {
		return nil // stopped before it had started, which is no failure
	}
	if err != nil {
		return err
	}
	o.Log.Info("ready", "version", o.Version, "listeners", r.Listeners(), "store", storeOf(o.Config))
	notify(o.Log, daemon.SdNotifyReady)
	if ready != nil {
		ready()
	}
	stop := context.AfterFunc(ctx, func() { notify(o.Log, daemon.SdNotifyStopping) })
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go supervise(ctx, r, o.Log, done)
	go reloadOn(ctx, hup, r, watched)
	endsByItself(ctx)
	err = r.Run(ctx)
	if err == nil {
		o.Log.Info("stopped")
	}
	return err
}

// storeOf names the queue for the log: its file, or the file with the URL of its database.
func storeOf(c *config.Config) string {
	return cmp.Or(string(c.Queue.StoreURLFile), c.Queue.Store.Path)
}

// withoutCore keeps the kernel from writing the memory of this process, with its
// secrets and mail, to a file or to a program that collects such files, and other
// processes of its user from reading it.
func withoutCore(log *slog.Logger) {
	errLimit := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("a crash may write the memory of the service to a file", "error", errors.Join(err, errLimit))
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

// statusEvery is how often systemctl status gets a new line, if it differs.
const statusEvery = 5 * time.Second

// notify informs systemd, if it started us, of a change of state.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// notifyReload informs systemd that a reload begins, and returns a function that
// informs it of the end. The time says which reload it is.
func notifyReload(log *slog.Logger) (done func()) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	notify(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
	return func() { notify(log, daemon.SdNotifyReady) }
}

// supervise keeps systemd informed until done is closed: a line for systemctl
// status, and WATCHDOG=1 while the relay is alive. A stop is bounded in other
// ways, so during a stop the watchdog is always satisfied.
func supervise(ctx context.Context, r *relay.Relay, log *slog.Logger, done <-chan struct{}) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot read the watchdog settings of systemd", "error", err)
	}
	every := statusEvery
	if limit > 0 {
		every = min(every, limit/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last string
	for {
		if limit > 0 {
			watchdog(ctx, r, log, limit/2)
		}
		if line := "STATUS=" + r.Summary(context.WithoutCancel(ctx)); line != last && ctx.Err() == nil {
			last = line
			notify(log, line)
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// watchdog informs systemd that the relay is alive, if it is.
func watchdog(ctx context.Context, r *relay.Relay, log *slog.Logger, patience time.Duration) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.Alive(asking); err != nil && ctx.Err() == nil {
		log.Error("the relay is not alive; systemd's watchdog is not notified", "error", err)
		return
	}
	notify(log, daemon.SdNotifyWatchdog)
}

func newReload() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running service read its configuration again",
		Long: `Make the running service read its configuration again, as systemctl reload and
SIGHUP do. It applies all of it or, if something is wrong, nothing; the command
then prints the mistakes and exits with code 2. Connections and messages in
progress are not disturbed. Deferred mail and holds are tried at once, except where
Microsoft asked to wait: the command prints until when.`,
		Example: `  graphrelay check && graphrelay reload`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := adminSocket(file)
			service := admin.Dial(socket)
			paused, errReload := service.Reload(cmd.Context())
			var refused *admin.Refused
			switch {
			case errors.As(errReload, &refused):
				return usageError{refused}
			case errReload != nil:
				return cmp.Or(err, errReload)
			}
			printWaits(cmd.OutOrStdout(), paused, time.Now())
			return nil
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// adminSocket is where the service listens, by the configuration in file. If that is
// invalid, which a reload is to find out, it is the default path, with the error.
func adminSocket(file string) (string, error) {
	c, err := config.Load(file)
	if err != nil {
		return "/run/graphrelay/admin.sock", err
	}
	return c.Admin.Address.Address, nil
}
