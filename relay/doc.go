// Package relay puts the whole together: New builds every part from a
// configuration, Run starts and stops them in order.
//
// # The way of one message
//
//	client ── SMTP ──> smtpd ──> intake ──> policy    who may send, as whom, through which mailbox
//	                               ├──────> message   one reading of the header; envelope-true edits
//	                               └──────> spool     commit; only then 250 with the queue ID
//	                                          │
//	delivery <── Notify ──────────────────────┘
//	   ├── spool.Claim      the attempt is durable before it is made
//	   ├── graph.Send ────> Microsoft Graph sendMail (MIME)
//	   │   or largemail.Upload  what is too large for that: a draft of its parts
//	   └── spool.Settle     sent, try again, hold, failed: with its history
//
// # The map of packages
//
//	envelope, status     words: addresses, queue ID, the error type with its reply
//	smtpd                the SMTP server: limits, deadlines, dialog
//	policy               pure: who may send as whom
//	message              bytes of a message: header block, line ends, edits, parts
//	spool                the durable queue (SQLite) and its history
//	graph                tokens, sendMail, what each answer means
//	dsn                  reports of what failed (RFC 3464); pure
//	sandbox              a double of Entra and Graph, for tests and try-outs
//	setup                the key pair, and the scripts that restrict the app; pure
//	intake, delivery     the two flows: into the spool and out of it
//	verify               live proof that the app is restricted: on request, and while running
//	monitor              counters, health, metrics for Prometheus
//	alert                faults that are on, and the webhook that is told of them
//	sendmail             what /usr/sbin/sendmail does, up to the submit socket
//	admin                the admin socket and what the commands show
//	console              the web console
//	relay                this package
//	config, cmd          the YAML file; flags, signals, printing
//
// Imports point down this list only; layers_test.go holds it.
//
// # Start and stop
//
// The store opens first (it takes the lock), then the listeners; delivery and
// SMTP start last. Nothing waits for the network: mail is accepted while Graph
// is out of reach. At the end SMTP finishes the messages it is receiving while
// delivery finishes those it is sending and records every outcome; the store
// closes last.
package relay
