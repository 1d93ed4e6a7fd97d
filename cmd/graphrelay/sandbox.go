package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	"graphrelay/config"
	"graphrelay/relay"
	"graphrelay/relay/sandbox"
	"graphrelay/relay/text"
)

// tryoutSender is a mailbox of the imitated tenant that the application may
// send as; tryoutDenied is one that it may not.
const (
	tryoutSender  = "notifications@contoso.com"
	tryoutScanner = "scanner@contoso.com"
	tryoutDenied  = "ceo@contoso.com"
)

// tryoutRights are what the application may do beside sending: submit, and read headers.
var tryoutRights = []string{"SMTP.SendAsApp", "Mail.ReadBasic"}

func newSandbox() *cobra.Command {
	var o sandbox.Options
	var listen, page, submission string
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a double of Entra and Microsoft Graph, for tests without a tenant",
		Long: `Run a double of Entra, of Microsoft Graph's mail and of SMTP submission on loopback
that answers as Microsoft documents it. It writes into --dir: ca.pem (its certificate authority),
secret.txt (the client secret), config.yaml (a configuration for graphrelay that
points to it) and each message it receives as .eml.`,
		Example: `  graphrelay sandbox --dir /tmp/sandbox
  graphrelay serve -c /tmp/sandbox/config.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log, _ = newLog(cmd.ErrOrStderr(), config.Log{Level: "info", Format: "text"}, nil)
			o.Granted = tryoutRights
			return runSandbox(cmd.Context(), cmd.OutOrStdout(), o, listen, page, submission)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:8443", "`HOST:PORT` of Entra and Graph, HTTPS, loopback")
	f.StringVar(&submission, "submission", "", "`HOST:PORT` of SMTP submission, loopback (default: a free port)")
	f.StringVar(&page, "page", "127.0.0.1:8080", "`HOST:PORT` of the page that shows what arrived, loopback")
	f.StringVar(&o.Dir, "dir", "graphrelay-sandbox", "`DIR` for ca.pem, secret.txt, config.yaml and the messages")
	f.StringSliceVar(&o.Allowed, "allow", nil,
		"`MAILBOX` that the application may use; may be repeated (default: every mailbox)")
	f.StringSliceVar(&o.Mailboxes, "mailbox", nil, "`MAILBOX` that exists; may be repeated (default: every address)")
	f.DurationVar(&o.Latency, "latency", 0, "`TIME` that Graph takes to answer")
	cmd.AddCommand(newSandboxTenant())
	f.IntVar(&o.Keep, "keep", 0, "keep the newest `N` messages (default 1000); -1 only counts them")
	return cmd
}

func runSandbox(ctx context.Context, out io.Writer, o sandbox.Options, listen, page, submission string) error {
	dir := o.Dir
	if o.Keep < 0 {
		o.Dir = "" // counting only: a load test must not fill the disk
	} else {
		o.Dir = filepath.Join(dir, "messages")
	}
	d, files, err := startDouble(o, listen, page, submission, dir)
	if err != nil {
		return busy(err, "or choose other ports with --listen and --page")
	}
	defer d.Close()
	fmt.Fprintf(out, "Entra and Graph: %s\nSubmission:      %s\nPage:            %s\nConfiguration:   %s\n"+
		"Ready. Press Ctrl-C to stop.\n", d.URL(), d.SubmissionAddress(), d.PageURL(), files.Config)
	<-ctx.Done()
	return nil
}

// startDouble starts a double and writes what a relay needs to use it into dir.
func startDouble(o sandbox.Options, listen, page, submission, dir string) (
	d *sandbox.Double, f sandbox.Files, err error,
) {
	if d, err = sandbox.New(o); err != nil {
		return nil, f, err
	}
	if err = d.Start(listen); err == nil {
		err = d.StartPage(page)
	}
	if err == nil {
		err = d.StartSubmission(submission)
	}
	if err == nil {
		f, err = d.WriteFiles(dir)
	}
	if err != nil {
		_ = d.Close()
		return nil, f, err
	}
	return d, f, nil
}

// busy adds what to do if a port is in use.
func busy(err error, remedy string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop the program that uses the port, %s", err, remedy)
	}
	return err
}

// tryoutConsole is where the console of a try-out listens.
const tryoutConsole = "127.0.0.1:8026"

// serveSandbox runs relay, console and double together in a temporary folder. The
// log of the double is silent: what it refuses, the relay logs.
func serveSandbox(ctx context.Context, out, errOut io.Writer) error {
	dir, err := os.MkdirTemp("", "graphrelay-sandbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, files, err := startDouble(tryoutTenant(), "127.0.0.1:0", "127.0.0.1:8025", "127.0.0.1:0", dir)
	if err != nil {
		return busy(err, "perhaps another `graphrelay serve --sandbox`")
	}
	defer d.Close()
	password, err := addConsole(files.Config)
	if err != nil {
		return err
	}
	c, err := config.Load(files.Config)
	if err != nil {
		return err
	}
	secrets := text.NewRedactor()
	log, _ := newLog(errOut, config.Log{Level: "info", Format: "text"}, secrets)
	o := relay.Options{
		Config: c, Version: versionString(), Log: log, Secrets: secrets, Sandbox: true,
		Load: func() (*config.Config, error) { return config.Load(files.Config) },
	}
	return serve(ctx, o, nil, func() {
		smtp := c.SMTP.Listeners[0].Address
		fmt.Fprintf(out, welcome, smtp, d.PageURL(), tryoutConsole, password, os.Args[0], smtp, tryoutSender,
			os.Args[0], files.Config)
	})
}

// addConsole adds a console to a configuration and returns its password, which is
// that of one run.
func addConsole(file string) (password string, err error) {
	password = strings.ToLower(rand.Text()[:8])
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "console: {address: %q, password_hash: %q}\n", tryoutConsole, hash)
	return password, errors.Join(err, f.Close())
}

// welcome is what a newcomer sees first.
const welcome = `
graphrelay accepts mail at %s
Microsoft 365, a double:   %s
console:                   http://%s  password %s

Send a first mail from another terminal:

    %s send --server %s --from %s --to you@example.org

After this line, %s status, trace and queue work there too:

    export GRAPHRELAY_CONFIG=%s

Nothing leaves this machine. Press Ctrl-C to stop and to delete the mail.

`

func tryoutTenant() sandbox.Options {
	return sandbox.Options{
		Mailboxes: []string{tryoutSender, tryoutScanner, tryoutDenied},
		Allowed:   []string{tryoutSender, tryoutScanner},
		Granted:   tryoutRights,
		Latency:   100 * time.Millisecond,
	}
}
