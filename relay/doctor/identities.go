package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"graphrelay/config"
	"graphrelay/relay/graph"
	"graphrelay/relay/keypair"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// CheckCredentials reads the credential of every identity, offline, and returns
// everything that is wrong with them.
func CheckCredentials(c *config.Config) error {
	var all []error
	for _, id := range c.Identities {
		if id.CertificateFile.AwaitsService() || id.ClientSecretFile.AwaitsService() {
			continue
		}
		if _, err := graph.New(wiring.Graph(id, "", slog.New(slog.DiscardHandler), nil)); err != nil {
			all = append(all, fmt.Errorf("identity %s: %w", id.Name, err))
		}
	}
	return errors.Join(all...)
}

// CheckCertificate reads the listeners' certificate, offline, and returns what is
// wrong with it.
func CheckCertificate(c *config.Config) error {
	certificate, key := wiring.KeyPair(c)
	if certificate == "" {
		return nil
	}
	pair, err := keypair.Load(certificate, key, nil)
	if err != nil {
		return fmt.Errorf("smtp.tls: %w", err)
	}
	if end := pair.Expires(); time.Now().After(end) {
		return fmt.Errorf("smtp.tls: certificate %s expired on %s; renew it", certificate, end.Format(time.DateOnly))
	}
	return nil
}

// identities tries the connection to Entra and Graph, and what each identity may
// do.
func (d *examiner) identities(ctx context.Context) {
	all, err := wiring.VerifyIdentities(d.c, d.version, nil)
	if err != nil {
		d.fail("identity", err.Error(), "correct the configuration")
		return
	}
	for i, id := range all {
		if d.reach(ctx, d.c.Identities[i]) {
			verify.Examine(ctx, id, verify.Verifier{}, func(f verify.Finding) {
				d.report(Symptom{f.Mark, id.Name + " " + string(f.Step), f.Text, f.Remedy})
			})
		}
	}
}

// reach tries the servers of an identity over the connection that its mail takes;
// false if one cannot be reached.
func (d *examiner) reach(ctx context.Context, id config.Identity) bool {
	servers, err := destinations(d.c, id, d.version)
	if err != nil {
		d.fail(string(id.Name)+" way", err.Error(), "correct the configuration")
		return false
	}
	well := true
	for _, server := range servers {
		f := server.Try(ctx)
		d.report(Symptom{f.Mark, string(id.Name) + " " + server.What, f.Text, f.Remedy})
		well = well && f.Mark != verify.Fail
	}
	if d.c != nil && d.c.Delivery.Submit() {
		f := d.submission(ctx, id)
		d.report(Symptom{f.Mark, string(id.Name) + " submission", f.Text, f.Remedy})
	}
	return well
}
