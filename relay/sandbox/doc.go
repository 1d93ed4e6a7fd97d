// Package sandbox is a double of Entra's token endpoint and of Microsoft
// Graph's sendMail, for tests and for trying the relay without a tenant.
//
// It follows Microsoft's documents, and where they are silent, reports of
// others. The comment at each such choice names its ground: [D] a document, [S]
// source code, [I] a report, [K] common knowledge that no source confirms.
// SOURCES.md lists what each name stands for. The package does not share code or
// assumptions with the packages it judges: recipients are read by net/mail and by
// a second, generous reader, and where the two differ the record of the message
// says so.
//
// New makes a Double with its own certificate authority; Start serves Entra
// and Graph over HTTPS, StartPage a page, JSON and the controls over HTTP. Both
// listen on loopback only. What was accepted is in Messages, Count and Ledger;
// Inject scripts faults. Everything may be called from any goroutine.
//
// The tenant is simple at first: Options say which mailboxes exist and which of
// them the application may use. SetAccess replaces that by what an
// administrator would have set up, consents, groups, access policies and roles,
// with the time it takes to reach Graph.
//
// StartMetadata serves the metadata service of an Azure machine, FederatedToken
// makes the tokens of a cluster that the application trusts, and a Proxy is the
// company's way out, which remembers what it saw.
//
// What is promised: a message is recorded once for each request that was read
// to its end and accepted, whether or not the client is still there to read the
// answer, and before the answer is written. A request whose body did not arrive
// whole is never recorded. Memory is bounded by Options.Keep and KeepBytes
// except for the ledger, which costs about 100 octets for each Message-ID. A
// record that cannot be written to Options.Dir is answered 500, never 202.
//
// A mailbox has an Inbox (and Junk Email: Junk), into which Receive and Bounce put mail and NDRs, and into which
// comes what was sent to it from here, for applications that may read it. A mailbox has
// drafts, with attachments by request and by upload session, and
// Sent Items that can be searched, for applications with the permission
// (Options.Granted). Drafts stay in memory until they are sent or deleted.
//
// StartSubmission serves SMTP submission with STARTTLS and XOAUTH2, for mailboxes where
// SMTP AUTH is on and the application has SMTP.SendAsApp.
//
// What it does not do: delivery to others than its own mailboxes, MIME drafts, the limits per
// day, and anything that happens after a 202, but for the NDRs of Bounce.
//
// It follows RFC 5321, 3207 and 4954 for submission, RFC 6749, 7515, 7519 and 7523 for tokens, RFC 5322 and 4648 for
// messages, and OpenID Connect Discovery 1.0. The folder contract holds an
// excerpt of Microsoft's OpenAPI description (MIT licence beside it) against
// which JSON bodies are checked.
package sandbox
