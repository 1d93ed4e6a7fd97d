// Package relay starts, reloads and stops the service: New builds every part from
// a configuration, Run starts the parts and stops them in order, Reload puts
// another configuration in force.
//
// # One message
//
//	client ── SMTP ──> smtpd ──> intake ──> policy    who may send, as whom, through which mailbox
//	                               ├──────> message   one reading of the header; envelope-true edits
//	                               └──────> spool     commit; only then 250 with the queue ID
//	                                          │
//	delivery <── Reserve, Notify ─────────────┘       a lane for each mailbox
//	   ├── spool            the attempt is durable before it is made, at best in the commit above
//	   ├── graph ─────────> Microsoft Graph sendMail (MIME), with a token of entra
//	   │   or largemail     a draft of the message's parts, if it is too large for that,
//	   │   or submission    the whole by SMTP, as configured
//	   └── spool            sent, retry, held or failed: with its history, and a report (dsn)
//
// # The map of packages
//
//	words     envelope      addresses, queue ID         reply     the error type of SMTP
//	          outcome       what an answer means, and how its Retry-After is read
//	          state         snapshot, health, faults (every alarm that follows from the snapshot,
//	                        expiry of certificates included)
//	          pacing, text  waiting; foreign text made visible; message/charset, hostheader
//	organs    smtpd         the SMTP server: limits, deadlines, dialog; smtpd/wire: its syntax
//	          policy        pure: who may send as whom
//	          message       header block, line ends, edits; message/parts: MIME parts
//	          spool         the contract of the durable queue; spool/tables keeps it in tables of
//	                        spool/db, spool/sqlite in a file; spool/room: who may fill it
//	          entra         credentials and tokens
//	          graph         one way to Graph; the catalogue: what each answer proposes; graph/largemail
//	          submission    large mail whole, by SMTP with OAuth
//	          dsn, bounce   reports (RFC 3464), ours and others'; setup: scripts that restrict the app
//	          socket, keypair, watchfile, loglimit, sendmail
//	          sandbox       a double of Entra and Graph, for tests and trials
//	flows     intake        from SMTP into the spool
//	          delivery      from the spool to Graph; delivery/pace: how fast; delivery/hold: when not;
//	                        delivery/turns: whose mail is next; delivery/decide.go turns each answer into
//	                        sent, retry, held or failed: the catalogue of graph only proposes
//	          verify        live proof that the app is restricted: on request, and every day; its
//	                        verdict stops delivery through delivery/audit_hold.go
//	          renewal       a certificate that renews itself
//	          canary        proof that mail arrives: one message a day
//	          tracking      what became of mail later: bounces, read in the mailboxes that sent
//	          operator      what an operator may change in the queue, for admin and console, which read it
//	          refusals      the record of what was refused, counted by the hour
//	          monitor, alert, admin, console
//	whole     wiring        from the configuration to the options of every part; pure
//	          observe       the snapshot of the running parts, their counters and alarms
//	          listeners     the sockets of SMTP, kept at a reload
//	          doctor        what can be examined from this host
//	          relay         this package
//	          config, cmd   the YAML file; flags, signals, printing
//
// Imports point up this list only; layers_test.go checks it, and
// packaging/doc/design.md says what each package must not know.
//
// # Start and stop
//
// The store opens first, for it takes the lock, then the listeners; delivery and
// SMTP start last. Nothing waits for the network: mail is accepted while Graph is
// out of reach. A stop lets SMTP finish the messages that it is receiving, and
// delivery those that it is sending, with every outcome recorded; the store closes
// last. On an error New closes what it opened, and a reload leaves everything as
// it was.
package relay
