package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/sandbox"
	"graphrelay/relay/text"
)

// sandboxGroup is the group that holds the senders in the imitated tenant.
const sandboxGroup = "graphrelay-senders@contoso.com"

// tenantChange is what an administrator changes in the imitated tenant.
type tenantChange struct {
	page, certificate              string
	consents, policy, role, admins []string
	canary                         []string
	onPremises                     []string
	closed                         bool
	propagation, advance, clock    time.Duration
}

func newSandboxTenant() *cobra.Command {
	var c tenantChange
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Set up the tenant of a running sandbox, as the setup script does in a real one",
		Long: `Set up the application in the tenant of a running sandbox, as the portal or the
script of ` + "`graphrelay setup`" + ` does in a real one. Each call replaces the previous
setup completely.`,
		Example: `  graphrelay sandbox tenant --certificate entra.cer --role notifications@contoso.com
  graphrelay sandbox tenant --consent Mail.Send --policy notifications@contoso.com --propagation 1h
  graphrelay sandbox tenant --keep --advance 2h`,
		Args: noArguments,
	}
	var keep bool
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := c.apply(cmd.Context(), keep); err != nil {
			return err
		}
		return c.show(cmd.Context(), cmd.OutOrStdout())
	}
	f := cmd.Flags()
	f.StringVar(&c.page, "page", "127.0.0.1:8080", "`HOST:PORT` of the sandbox's page")
	f.StringVar(&c.certificate, "certificate", "", "`FILE` (.cer or PEM) to upload to the app registration")
	f.StringSliceVar(&c.consents, "consent", nil, "`PERMISSION` consented in Entra, such as Mail.Send; may be repeated")
	f.StringSliceVar(&c.policy, "policy", nil,
		"`MAILBOX` in the group of an application access policy; may be repeated")
	f.StringSliceVar(&c.role, "role", nil,
		"`MAILBOX` in the group with the role Application Mail.Send; may be repeated")
	f.StringSliceVar(&c.canary, "canary", nil,
		"`MAILBOX` with the role Application Mail.ReadBasic; may be repeated")
	f.StringSliceVar(&c.admins, "administrator", nil, "`MAILBOX` of an administrator; may be repeated")
	f.StringSliceVar(&c.onPremises, "on-premises", nil, "`MAILBOX` that Exchange Online does not host; may be repeated")
	f.BoolVar(&c.closed, "closed", false, "a newer tenant, in which a consent gives access to no mailbox")
	f.DurationVar(&c.propagation, "propagation", 0, "`TIME` until Graph applies it; a real tenant takes 30m to 2h")
	f.DurationVar(&c.advance, "advance", 0,
		"let `TIME` pass for what is on its way to Graph; logins are as before")
	f.DurationVar(&c.clock, "clock", 0, "advance the clock of the tenant by `TIME`; a negative value sets it back")
	f.BoolVar(&keep, "keep", false, "keep the current setup; only upload a certificate, or let time pass")
	return cmd
}

func (c tenantChange) apply(ctx context.Context, keep bool) error {
	if err := c.access().Validate(); err != nil {
		return usageError{err}
	}
	for flag, list := range map[string][]string{"--role": c.role, "--policy": c.policy, "--administrator": c.admins,
		"--on-premises": c.onPremises, "--canary": c.canary} {
		if _, err := addressFlags(flag, list); err != nil {
			return err
		}
	}
	if c.certificate != "" {
		text, err := certificatePEM(c.certificate)
		if err != nil {
			return err
		}
		if err := c.post(ctx, "certificates", map[string]string{"pem": text}); err != nil {
			return err
		}
	}
	if !keep {
		if err := c.post(ctx, "access",
			map[string]any{"access": c.access(), "propagation": c.propagation.String()}); err != nil {
			return err
		}
	}
	for path, by := range map[string]time.Duration{"propagation": c.advance, "clock": c.clock} {
		if by != 0 {
			if err := c.post(ctx, path, map[string]string{"advance": by.String()}); err != nil {
				return err
			}
		}
	}
	return nil
}

func certificatePEM(file string) (string, error) {
	data, err := readSmall(file)
	if err != nil {
		return "", err
	}
	if bytes.Contains(data, []byte("PRIVATE KEY")) {
		return "", fmt.Errorf("%s contains the private key, which must not be uploaded: name the .cer file instead",
			file)
	}
	if block, _ := pem.Decode(data); block != nil {
		return string(data), nil
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: data})), nil
}

func (c tenantChange) access() sandbox.Access {
	a := sandbox.Access{Consents: c.consents, Administrators: c.admins, OnPremises: c.onPremises,
		ClosedByDefault: c.closed, Groups: map[string][]string{}}
	if len(c.policy) > 0 {
		a.Groups["policy-"+sandboxGroup] = c.policy
		a.Policies = []sandbox.AccessPolicy{{Right: "RestrictAccess", Scope: "policy-" + sandboxGroup}}
	}
	if len(c.role) > 0 {
		a.Groups[sandboxGroup] = c.role
		a.Assignments = []sandbox.RoleAssignment{{Role: "Application Mail.Send", Scope: sandboxGroup}}
	}
	for _, mailbox := range c.canary {
		reads := sandbox.RoleAssignment{Role: "Application Mail.ReadBasic", Scope: mailbox}
		a.Assignments = append(a.Assignments, reads)
	}
	return a
}

func (c tenantChange) url(path string) string { return "http://" + c.page + "/api/" + path }

func (c tenantChange) post(ctx context.Context, path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(path), bytes.NewReader(body))
	if err != nil {
		return usageError{fmt.Errorf("--page %q is not HOST:PORT", c.page)}
	}
	r.Header.Set("Content-Type", "application/json")
	_, err = c.do(r)
	return err
}

func (c tenantChange) do(r *http.Request) ([]byte, error) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}} // loopback: no proxy
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w; is `%s sandbox` running, and its page there?", err, os.Args[0])
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("the sandbox refused: %s", text.Line(strings.TrimSpace(string(body))))
	}
	return body, err
}

// show prints what is set up now.
func (c tenantChange) show(ctx context.Context, w io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url("access"), nil)
	if err != nil {
		return err
	}
	body, err := c.do(r)
	if err != nil {
		return err
	}
	var a sandbox.Access
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	fmt.Fprintf(w, "Consents in Entra: %s\n", cmp.Or(strings.Join(a.Consents, ", "), "none"))
	for _, p := range a.Policies {
		fmt.Fprintf(w, "Access policy:     %s, members %s\n", p.Right, strings.Join(a.Groups[p.Scope], ", "))
	}
	for _, x := range a.Assignments {
		fmt.Fprintf(w, "Role in Exchange:  %s, members %s\n", x.Role, strings.Join(a.Groups[x.Scope], ", "))
	}
	return nil
}
