// Package wiring translates the configuration into the options of every part:
// one function for each part, so that a key is read in one place.
//
// # Promises
//
// Every function is pure: the same configuration gives the same options. None
// opens a file, a socket or a store; what a part must read (a certificate, a
// webhook's URL) stays a path here. The configuration is valid, so nothing can
// fail but a question that the caller asks about it. A table in wiring_test.go has
// a row for each key and says which options it changes; a new key without a row
// fails that test.
//
// # What it must not know
//
// The life cycle: which part runs, when it starts or stops, and what a reload
// keeps. Callbacks that lead into a running service are arguments.
package wiring

import (
	"log/slog"
	"net/url"
	"time"

	"graphrelay/config"
	"graphrelay/relay/canary"
	"graphrelay/relay/delivery"
	"graphrelay/relay/entra"
	"graphrelay/relay/envelope"
	"graphrelay/relay/graph"
	"graphrelay/relay/spool/postgres"
	"graphrelay/relay/spool/sqlite"
	"graphrelay/relay/state"
	"graphrelay/relay/submission"
	"graphrelay/relay/tracking"
	"graphrelay/relay/verify"
)

// Graph returns the options of the client of an identity. onCredentialChange is
// called when a changed credential file was loaded; it may be nil.
func Graph(id config.Identity, version string, log *slog.Logger, onCredentialChange func()) graph.Config {
	g := graph.Config{
		Name: string(id.Name),
		Identity: entra.Identity{
			TenantID: string(id.TenantID), ClientID: string(id.ClientID),
			SecretFile: string(id.ClientSecretFile), SecretExpires: id.ClientSecretExpires.Time,
			CertificateFile: string(id.CertificateFile), CertificatePasswordFile: string(id.CertificatePasswordFile),
			WorkloadIdentity: id.WorkloadIdentity,
		},
		CAFile: string(id.CAFile), ProxyFile: string(id.ProxyFile), MaxConcurrent: id.MaxConcurrent,
		UserAgent: "graphrelay/" + version, Log: log, OnCredentialChange: onCredentialChange,
	}
	if id.ManagedIdentity != nil {
		g.ManagedIdentity = &entra.ManagedIdentity{ClientID: string(id.ManagedIdentity.ClientID)}
	}
	if id.Proxy != "" {
		g.Proxy = mustURL(string(id.Proxy))
	}
	if id.Endpoints != nil {
		g.Login, g.Graph = mustURL(string(id.Endpoints.Login)), mustURL(string(id.Endpoints.Graph))
	} else {
		g.Cloud = id.Cloud
	}
	return g
}

// mustURL parses a URL that config has already checked.
func mustURL(u string) *url.URL {
	parsed, err := url.Parse(u)
	if err != nil {
		panic("config let a bad URL through")
	}
	return parsed
}

// Store returns the options of the queue's store. sandbox marks a store of a
// try-out.
func Store(c *config.Config, sandbox bool, log *slog.Logger) sqlite.Options {
	return sqlite.Options{
		Path: c.Queue.Store.Path, MinFree: int64(c.Queue.MinFreeSpace), MaxMessages: c.Queue.MaxMessages,
		MaxDelay: delivery.MaxDelay, InterruptedDelay: delivery.UnknownDelay,
		MarkSandbox: sandbox, Log: log,
	}
}

// Database returns the options of a store in the database of queue.store_url_file, but for
// the URL itself.
func Database(c *config.Config, sandbox bool, log *slog.Logger) postgres.Options {
	return postgres.Options{
		MaxMessages: c.Queue.MaxMessages, MaxDelay: delivery.MaxDelay,
		RequestLimit: requestLimit(c), MarkSandbox: sandbox, Log: log,
	}
}

// requestLimit returns how long it may take to send a message of a size, from the moment on
// from which nothing stops it any more.
func requestLimit(c *config.Config) func(size int64) time.Duration {
	whole := submission.New(submission.Config{}).Config()
	return func(size int64) time.Duration {
		if c.Delivery.Submit() && size > int64(c.Delivery.MIMELimit) {
			return whole.Longest(size)
		}
		return graph.RequestTime(graph.EncodedLen(size))
	}
}

// Retention returns how long the history and failed messages are kept.
func Retention(c *config.Config) (history, failed time.Duration) {
	return time.Duration(c.Queue.History), time.Duration(c.Queue.KeepFailed)
}

// Disk returns the path of the store, and the bytes that stay free on its disk.
func Disk(c *config.Config) (store string, reserve int64) {
	if c.Queue.StoreURLFile != "" {
		return "", 0 // it is on another's
	}
	return c.Queue.Store.Path, int64(c.Queue.MinFreeSpace)
}

// WebhookURLFile returns the file with the URL of the alarms' webhook, "" for none.
func WebhookURLFile(c *config.Config) string { return string(c.Alerts.WebhookURLFile) }

// Alarms returns how many messages may wait, and how many a client may send in an
// hour, before that is an alarm.
func Alarms(c *config.Config) (queue, client int) {
	rate := c.Alerts.ClientRate
	return c.Alerts.QueueMessages, rate.Count * int(time.Hour/rate.Per)
}

// Show fills in what people are shown of the configuration itself.
func Show(c *config.Config, s *state.Snapshot) {
	_, s.DiskReserve = Disk(c)
	s.QueueAlarm, s.ClientAlarm = Alarms(c)
	s.Priorities = map[string]string{canary.Client: "bulk"}
	for _, client := range c.Clients {
		s.Priorities[string(client.Name)] = client.Priority
	}
}

// Services returns the addresses of what is served beside SMTP, "" for none.
func Services(c *config.Config) (admin, metrics, console string) {
	if c.Metrics != nil {
		metrics = c.Metrics.Address.String()
	}
	if c.Console != nil {
		console = c.Console.Address.String()
	}
	return c.Admin.Address.String(), metrics, console
}

// ConsolePassword returns the hash of the console's password, "" without console.
func ConsolePassword(c *config.Config) string {
	if c.Console == nil {
		return ""
	}
	return string(c.Console.PasswordHash)
}

// Credential returns the state of an identity's credential. The warning about one
// that has expired has no stage: it is repeated, as other faults are.
func Credential(id config.Identity, c entra.CredentialInfo, now time.Time) state.Credential {
	stage, warning := c.Expiry(now)
	if stage == entra.Expired {
		stage = ""
	}
	unread := ""
	if c.Unread != nil {
		unread = c.Unread.Error()
	}
	return state.Credential{
		Identity: string(id.Name), Tenant: string(id.TenantID), Client: string(id.ClientID),
		Kind: c.Kind, Subject: c.Subject, Thumbprint: c.Thumbprint, Expires: c.NotAfter,
		Warning: warning, Stage: stage, Unread: unread, Sent: c.Sent,
	}
}

// Audits are the last audits with a result.
func Audits(last []verify.Audit) (list []state.Audit) {
	for _, a := range last {
		if !a.Concluded.IsZero() {
			list = append(list, state.Audit{Identity: a.Identity, At: a.Concluded, Passed: a.Passed, Text: a.Proof})
		}
	}
	return list
}

// Limits returns what delivery decides by.
func Limits(c *config.Config) delivery.Limits {
	unknown := map[string]delivery.UnknownOutcome{
		"retry": delivery.Retry, "hold": delivery.HoldIt, "lookup": delivery.LookUp,
	}
	return delivery.Limits{
		Unknown: unknown[c.Delivery.UnknownOutcome],
		MaxAge:  time.Duration(c.Queue.MaxAge), MaxHold: time.Duration(c.Queue.MaxHold),
	}
}

// Reports returns who gets reports of failed mail, and which sender they are from.
func Reports(c *config.Config) delivery.Reports {
	return delivery.Reports{
		ToSender: c.Reports.ToSender, Postmaster: c.Reports.Postmaster,
		DelayWarning: time.Duration(c.Reports.DelayWarning),
		From:         c.DefaultSender, Mailbox: c.MailboxOf(c.DefaultSender), Hostname: string(c.Hostname),
	}
}

// Route returns the identity and the limits of a mailbox; false if no sender uses
// it. The caller adds the identity's client.
func Route(c *config.Config, mailbox envelope.Address) (delivery.Route, bool) {
	m, ok := c.Mailbox(mailbox)
	if !ok {
		return delivery.Route{}, false
	}
	id, ok := c.Identity(m.Identity)
	return delivery.Route{
		Identity: string(m.Identity), MaxConcurrent: m.MaxConcurrent, IdentityConcurrent: id.MaxConcurrent,
		Rate: rateOf(m.Rate), MIMELimit: int64(c.Delivery.MIMELimit),
	}, ok
}

// Weights returns Weight by the configuration in force.
func Weights(now func() *config.Config) func(client string) int {
	return func(client string) int { return Weight(now(), client) }
}

// Weight returns the weight of a client's turns in a mailbox.
func Weight(c *config.Config, client string) int {
	for _, entry := range c.Clients {
		if string(entry.Name) == client {
			weights := map[string]int{"high": delivery.High, "normal": delivery.Normal, "bulk": delivery.Bulk}
			return weights[entry.Priority]
		}
	}
	if client == canary.Client {
		return delivery.Bulk
	}
	return delivery.Normal
}

// Lookups returns the mailboxes that the app must be able to read at start, where
// unknown outcomes are looked up.
func Lookups(c *config.Config) []envelope.Address {
	if LooksUp(c) {
		return exactMailboxes(c)
	}
	return nil
}

// NeedsReadWrite reports whether the app needs Mail.ReadWrite beside Mail.Send.
func NeedsReadWrite(c *config.Config) bool { return LooksUp(c) || c.Delivery.Upload() }

// Tracking returns whether and how bounces are read.
func Tracking(c *config.Config) tracking.Settings {
	history, _ := Retention(c)
	return tracking.Settings{
		On: c.Delivery.TrackBounces != "off", Full: c.Delivery.TrackBounces == "full", History: history,
	}
}

// Canary returns what proves every day that mail arrives.
func Canary(c *config.Config) canary.Settings {
	if c.Audit.Canary.IsZero() {
		return canary.Settings{}
	}
	return canary.Settings{
		To: c.Audit.Canary, From: c.DefaultSender, Mailbox: c.MailboxOf(c.DefaultSender), Hostname: string(c.Hostname),
	}
}

// CanaryIdentity returns the identity that reads the mailbox of audit.canary: the one that
// sends for it, or else that of the default sender; "" without a canary.
func CanaryIdentity(c *config.Config) config.Name {
	if c.Audit.Canary.IsZero() {
		return ""
	}
	m, ok := c.Mailbox(c.Audit.Canary)
	if !ok {
		m, _ = c.Mailbox(c.MailboxOf(c.DefaultSender))
	}
	return m.Identity
}

// ReadsBounces returns the permission that tracking needs, "" for none.
func ReadsBounces(c *config.Config) string {
	return map[string]string{"header": "Mail.ReadBasic", "full": "Mail.Read"}[c.Delivery.TrackBounces]
}

// reads reports whether an app may read mail, so that the audit tries whether it may read too much.
func reads(c *config.Config, identity config.Name) bool {
	return NeedsReadWrite(c) || ReadsBounces(c) != "" || CanaryIdentity(c) == identity
}

// LooksUp reports whether a message that may have been sent is looked up first.
func LooksUp(c *config.Config) bool { return c.Delivery.UnknownOutcome == "lookup" }
