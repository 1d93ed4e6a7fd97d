package doctor

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"graphrelay/config"
	"graphrelay/relay/alert"
	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/graph/largemail"
	"graphrelay/relay/outcome"
	"graphrelay/relay/submission"
	"graphrelay/relay/verify"
	"graphrelay/relay/wiring"
)

// Egress reports every server that a configuration must reach, and whether this
// host does: what an administrator of firewalls asks for. Proxies are servers, too.
func Egress(ctx context.Context, c *config.Config, version string, report func(Symptom)) {
	d := &examiner{c: c, version: version, report: report}
	seen := map[string]bool{}
	for _, id := range c.Identities {
		servers, err := destinations(c, id, version)
		if err != nil {
			d.fail(string(id.Name), err.Error(), "correct the configuration")
			continue
		}
		for _, s := range servers {
			d.try(ctx, s, string(id.Name), seen)
		}
		if at := wiring.SubmissionServer(id); c.Delivery.Submit() && !seen[at] {
			seen[at] = true
			f := d.submission(ctx, id)
			d.report(Symptom{f.Mark, at, "submission of " + string(id.Name) + ": " + f.Text, f.Remedy})
		}
	}
	if file := wiring.WebhookURLFile(c); file != "" {
		server, err := alert.Server(file)
		if err != nil {
			d.fail("alerts", err.Error(), "correct alerts.webhook_url_file")
			return
		}
		hook := verify.Reach{What: "webhook", URL: server, Proxy: http.ProxyFromEnvironment, Now: time.Now}
		d.try(ctx, hook, "alerts", seen)
	}
}

// try reports a server, and the proxy before it, once.
func (d *examiner) try(ctx context.Context, s verify.Reach, user string, seen map[string]bool) {
	if seen[s.Host()+" "+s.Through()] {
		return
	}
	seen[s.Host()+" "+s.Through()] = true
	f := s.Try(ctx)
	if proxy, err := url.Parse(s.Through()); err == nil && proxy.Host != "" && !seen[proxy.Host] {
		seen[proxy.Host] = true
		d.report(Symptom{f.Mark, proxy.Host, "proxy of " + user + ", which must allow CONNECT to what follows",
			f.Remedy})
	}
	d.report(Symptom{f.Mark, s.Host(), s.What + " of " + user + ": " + f.Text, f.Remedy})
}

// destinations are the servers of an identity, over the connection that its mail takes.
func destinations(c *config.Config, id config.Identity, version string) ([]verify.Reach, error) {
	way, err := graph.WayOf(wiring.Graph(id, version, slog.New(slog.DiscardHandler), nil))
	if err != nil {
		return nil, err
	}
	list := []verify.Reach{
		{What: "login", URL: way.Login.JoinPath(string(id.TenantID), "v2.0/.well-known/openid-configuration")},
		{What: "graph", URL: way.Graph.JoinPath("v1.0/")},
	}
	if c != nil && c.Delivery.Upload() {
		for _, host := range largemail.UploadHosts(way.Graph) {
			list = append(list, verify.Reach{What: "upload", URL: &url.URL{Scheme: "https", Host: host, Path: "/"}})
		}
	}
	for i := range list {
		list[i].Proxy, list[i].Roots, list[i].Now = way.Proxy, way.Roots, time.Now
	}
	if id.ManagedIdentity != nil {
		list[0], err = metadata()
	}
	return list, err
}

// submission connects to the submission server of an identity, and says no more than
// STARTTLS to it.
func (d *examiner) submission(ctx context.Context, id config.Identity) verify.Finding {
	way, err := graph.WayOf(wiring.Graph(id, d.version, slog.New(slog.DiscardHandler), nil))
	if err != nil {
		return verify.Finding{Mark: verify.Fail, Text: err.Error(), Remedy: "correct the configuration"}
	}
	at := wiring.SubmissionServer(id)
	client := submission.New(submission.Config{Address: at, Roots: way.Roots, Step: 10 * time.Second})
	a := client.TryLogin(ctx, envelope.Address{})
	if a.Outcome != outcome.Delivered {
		return verify.Finding{Mark: verify.Fail, Text: a.What(), Remedy: a.Advice}
	}
	return verify.Finding{Mark: verify.OK, Text: at + " answers (directly), with STARTTLS"}
}

// metadata is what a managed identity logs in at, in place of Entra: never through a proxy.
func metadata() (verify.Reach, error) {
	server, err := url.Parse(entra.MetadataServer())
	return verify.Reach{What: "metadata", URL: server, Now: time.Now, Away: entra.MetadataRemedy,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}, err
}
