// Package monitor counts what happens and tells how the service is: metrics for
// Prometheus, health for probes, and the short memory that the web console
// draws (the last hours by the minute, the clients that were seen).
//
// The flows call Accepted, Rejected, Attempted and Outcome; everything that is
// a state and no event is asked for by Config.Snapshot when somebody looks.
//
// # Promises
//
// Looking changes nothing: Handler answers GET and HEAD only, and no name that a
// foreign page could have given this host (DNS rebinding). Counting never
// blocks on I/O and takes bounded memory, whoever connects and however many
// mailboxes a wildcard makes: a label has at most maxLabels values, and what
// comes later counts as "other". Each metric is named in Metrics, which a test
// holds against the manual and against what is really served. No label and no
// reason holds a secret; reasons end with a remedy.
//
// # On failure
//
// A Snapshot that fails or takes longer than five seconds means that the
// service is dead for a probe (503 with the reason), and a scrape without the
// states; the counters are served all the same.
//
// The package knows neither SMTP nor the spool nor Graph; relay translates.
// Names follow https://prometheus.io/docs/practices/naming/.
package monitor
