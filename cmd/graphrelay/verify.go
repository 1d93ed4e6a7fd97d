package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/text"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// verification is one call of `graphrelay verify`.
type verification struct {
	file            string
	allowed, denied []string
	to, identity    string
	wait            time.Duration
	asJSON          bool
}

func newVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify --to ADMIN",
		Short: "Prove on the live service that the app can send as its mailboxes and as no others",
		Long: `Check, in this order:

  1. the credential
  2. the token and its permissions
  3. each configured mailbox, with a probe and a test mail to ADMIN
  4. the denied mailbox and ADMIN's own, with a probe

A probe has no recipients, so Graph sends nothing and nobody is impersonated.
The last lines give the verdict of each identity:

  RESTRICTED       exit 0   proven: it can send as its mailboxes, and not as the denied one
  NOT RESTRICTED   exit 3   it can use a mailbox that must be refused
  SENDER REFUSED   exit 4   it cannot use a mailbox that it needs
  UNPROVEN         exit 5   nothing was proven; the line says what is missing

A change in the tenant takes 30 minutes to 2 hours to reach Graph: --wait 2h
checks again every 5 minutes until the app is restricted or the time is up.`,
		Example: `  graphrelay verify --to admin@contoso.com
  graphrelay verify --to admin@contoso.com --denied denied@contoso.com --wait 2h`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return v.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	configFlag(cmd, &v.file)
	f.StringSliceVar(&v.allowed, "allowed", nil,
		"`MAILBOX` that must be able to send; may be repeated (default: every mailbox in the configuration)")
	f.StringSliceVar(&v.denied, "denied", nil,
		"`MAILBOX` that must be refused: existing, licensed, ordinary; may be repeated (default: denied_mailbox)")
	f.StringVar(&v.to, "to", "", "`ADMIN`, the address that receives the test mails; nobody else does")
	f.StringVar(&v.identity, "identity", "", "verify the identity with this `NAME` only")
	f.DurationVar(&v.wait, "wait", 0, "check again for up to `TIME`, until RESTRICTED is proven")
	f.BoolVar(&v.asJSON, "json", false, "print JSON")
	return cmd
}

func (v verification) run(ctx context.Context, out, progress io.Writer) error {
	c, err := config.Load(v.file)
	if err != nil {
		return err
	}
	to, err := envelope.ParseAddress(v.to)
	if v.to == "" || err != nil || to.Wildcard() {
		return usageError{errors.New("add --to ADMIN, the address that receives the test mails")}
	}
	if v.wait < 0 {
		return usageError{fmt.Errorf("--wait %s is negative; write how long to keep checking, as in 2h", v.wait)}
	}
	identities, err := v.identities(c)
	if err != nil {
		return err
	}
	var reports []verify.Report
	var verdicts []verify.Verdict
	for _, id := range identities {
		r := v.verifier(to, id.Name, progress).Verify(ctx, id)
		reports, verdicts = append(reports, r), append(verdicts, r.Verdict)
	}
	worst := verify.Worst(verdicts...)
	if v.asJSON {
		err = terminal.PrintJSON(out, reportsJSON(worst, reports))
	} else {
		err = printVerdicts(out, reports)
	}
	if code := worst.ExitCode(); err == nil && code != 0 {
		return exitStatus(code)
	}
	return err
}

// identities are those of the configuration, with the changes of the flags.
func (v verification) identities(c *config.Config) ([]verify.Identity, error) {
	allowed, err := addressFlags("--allowed", v.allowed)
	if err != nil {
		return nil, err
	}
	denied, err := addressFlags("--denied", v.denied)
	if err != nil {
		return nil, err
	}
	all, err := wiring.VerifyIdentities(c, versionString(), allowed)
	if err != nil {
		return nil, usageError{err}
	}
	var out []verify.Identity
	for _, id := range all {
		if v.identity != "" && id.Name != v.identity {
			continue
		}
		if len(denied) > 0 {
			id.Denied = denied
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, usageError{fmt.Errorf("--identity %q is not the name of an identity of the configuration",
			v.identity)}
	}
	return out, nil
}

func addressFlags(flag string, values []string) ([]envelope.Address, error) {
	var out []envelope.Address
	for _, s := range values {
		a, err := envelope.ParseAddress(s)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		if a.Wildcard() { // no mailbox has this name: a refusal proves nothing
			return nil, usageError{fmt.Errorf("%s: %s is a wildcard; write one address", flag, a)}
		}
		out = append(out, a)
	}
	return out, nil
}

func (v verification) verifier(to envelope.Address, name string, w io.Writer) verify.Verifier {
	one := verify.Verifier{To: to, Wait: v.wait}
	fmt.Fprintf(w, "Identity %s\n", name)
	one.Progress = func(f verify.Finding) {
		printStep(w, fmt.Sprintf("  %-4s %-10s", f.Mark, f.Step), f.Mark, f.Text, f.Remedy)
	}
	one.Waiting = func(r verify.Report, passed, left time.Duration) {
		fmt.Fprintf(w, "  ...  waited %s, at most %s more; still missing: %s: %s\n", terminal.Ago(passed),
			terminal.Ago(left), r.Verdict, text.Line(r.Text))
	}
	return one
}

// printStep prints one line of an examination, and below a bad one its remedy.
func printStep(w io.Writer, head string, mark verify.Mark, said, remedy string) {
	head = text.Line(head)
	fmt.Fprintf(w, "%s %s\n", head, text.Line(said))
	if remedy != "" && mark != verify.OK {
		fmt.Fprintf(w, "%s -> %s\n", strings.Repeat(" ", terminal.Columns(head)), text.Line(remedy))
	}
}

func printVerdicts(w io.Writer, reports []verify.Report) error {
	for _, r := range reports {
		if _, err := fmt.Fprintln(w, text.Line(r.Line())); err != nil {
			return err
		}
	}
	return nil
}

func reportsJSON(worst verify.Verdict, reports []verify.Report) any {
	var list []map[string]any
	for _, r := range reports {
		list = append(list, map[string]any{"identity": r.Identity, "verdict": r.Verdict, "text": r.Text,
			"remedy": r.Remedy, "findings": r.Findings})
	}
	return map[string]any{"verdict": worst, "exit": worst.ExitCode(), "identities": list}
}
