// Package monitor counts what happens and reports how well the service is: metrics
// for Prometheus, health for probes, and the short memory that the web console
// draws (the last hours by the minute, and the clients that connected).
//
// The flows call Accepted, Rejected, Attempted and Outcome; whatever is a state
// and not an event comes from Config.Snapshot at each scrape and probe.
//
// # Promises
//
// Looking changes nothing: Handler answers GET and HEAD only, and only requests
// for a name that no foreign page could have given this host. Counting never
// blocks on I/O and takes bounded memory, however many clients connect and
// however many mailboxes a wildcard makes: a label has at most maxLabels values,
// and further ones count as "other". Metrics lists every metric; tests hold the
// list against the manual and against what is served. No label and no reason
// contains a secret; reasons end with a remedy.
//
// # On failure
//
// A Snapshot that fails or takes longer than five seconds means that the service
// is dead for a probe (503 with the reason); a scrape then has the counters and
// no states.
//
// The package knows neither SMTP nor the spool nor Graph; relay translates.
// Names follow https://prometheus.io/docs/practices/naming/.
package monitor
