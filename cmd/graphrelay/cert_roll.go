package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay/admin"
	"graphrelay/relay/pacing"
	"graphrelay/relay/renewal"
	"graphrelay/relay/text"
	"graphrelay/relay/wiring"
)

// roll is one call of `graphrelay cert roll`.
type roll struct {
	file, identity string
	now            bool
}

func newCertRoll() *cobra.Command {
	var r roll
	cmd := &cobra.Command{
		Use:   "roll",
		Short: "Renew certificates that renew themselves, where the service cannot write their folder",
		Long: `Take the steps that are due for each identity with certificate_renewal: auto:

  30 days before the end, make a key pair and add its certificate to the app
  log in with it 12 times in a row, five minutes apart
  replace certificate_file, with its owner and mode; the service loads it
  once the service has sent mail with it, verify that the app is restricted
  when the old certificate has expired, remove it from the app

Run it as root where the certificate's folder is not writable for the service:
graphrelay-cert-roll.timer does so every hour once it is enabled. It ends when
nothing is due within ten minutes, may be killed at any time, and continues where
it was. Whatever fails leaves the present certificate in force; it is tried again,
and the service raises an alarm.`,
		Example: `  systemctl enable --now graphrelay-cert-roll.timer
  graphrelay cert roll
  graphrelay cert roll --now --identity contoso`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	configFlag(cmd, &r.file)
	cmd.Flags().StringVar(&r.identity, "identity", "", "only the identity with this `NAME`")
	cmd.Flags().BoolVar(&r.now, "now", false, "begin now, not 30 days before the end")
	return cmd
}

func (r roll) run(ctx context.Context, w io.Writer) error {
	c, err := config.Load(r.file)
	if err != nil {
		return err
	}
	found := 0
	var all []error
	for _, id := range c.Identities {
		if r.identity != "" && string(id.Name) != r.identity || !id.RenewsItself() {
			continue
		}
		found++
		if err := r.one(ctx, w, c, id); err != nil {
			all = append(all, fmt.Errorf("identity %s: %w", id.Name, err))
		}
	}
	if found == 0 {
		_, err = fmt.Fprintln(w, "no certificate renews itself here; for that write certificate_renewal: auto")
		all = append(all, err)
	}
	return errors.Join(all...)
}

// soon is how long this command waits for the next step.
const soon = 10 * time.Minute

// one takes the steps of an identity that are due.
func (r roll) one(ctx context.Context, w io.Writer, c *config.Config, id config.Identity) error {
	if err := renewal.Writable(string(id.CertificateFile)); err != nil {
		return err
	}
	o := wiring.Renewal(id, versionString(), slog.New(slog.DiscardHandler))
	o.Force, o.Service = r.now, elsewhere{c, id}
	roller, printed := renewal.New(o), 0
	if n, err := renewal.ReadNote(o.File); err == nil {
		printed = len(n.Events)
	}
	for {
		_, next, err := roller.Step(ctx)
		if n, readErr := renewal.ReadNote(o.File); readErr == nil {
			for _, e := range n.Events[min(printed, len(n.Events)):] {
				fmt.Fprintln(w, text.Line(string(id.Name)+": "+e.String()))
			}
			printed = len(n.Events)
		}
		wait := time.Until(next)
		if err == nil && wait > soon {
			report := roller.Report()
			if _, err = fmt.Fprintf(w, "%s: renews itself: %s\n", text.Line(o.Identity), report.Text); report.Failing {
				err = errors.New(report.Cause)
			}
			return err
		}
		if err == nil {
			err = pacing.Sleep(ctx, wait)
		}
		if ctx.Err() != nil { // stopped: the next run continues
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// elsewhere is the service, which is another process.
type elsewhere struct {
	c  *config.Config
	id config.Identity
}

func (e elsewhere) Sent(ctx context.Context, thumbprint string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := admin.Dial(e.c.Admin.Address.Address).Status(ctx)
	for _, c := range s.Credentials {
		if err == nil && c.Identity == string(e.id.Name) && c.Thumbprint == thumbprint && c.Sent {
			return true
		}
	}
	return false
}

func (e elsewhere) Verify(ctx context.Context) error {
	return wiring.Verification(e.c, e.id, versionString())(ctx)
}
