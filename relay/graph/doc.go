// Package graph makes requests of Microsoft Graph for one identity, that is, one
// app registration in one tenant, and says what happened to each message.
//
// Send posts a message as MIME to /users/{mailbox}/sendMail: one line of standard
// base64, streamed with its exact length and never compressed. Lookup searches a
// mailbox for a message whose fate is unknown. Package largemail builds on Do,
// the one way of every request.
//
// What it promises:
//
//   - Every attempt ends in one Answer, whatever the service, a proxy or the
//     network did; nothing is left to an SDK's error text, and nothing panics.
//   - Only a 202 after the whole body is Delivered. Unknown means that bytes of the body may have left
//     and no answer settled it; everything else is certainly not sent.
//   - One call of Send is one attempt. Nothing is repeated here but what certainly
//     was not processed: a connection that had died (net/http repeats the request
//     through GetBody, or Do), and a 401, once, with a new token. Redirects are
//     answers, not followed.
//   - No request leaves without a token, and the token only goes to the configured
//     Graph host over verified TLS 1.2 or later. Upload URLs get none.
//   - A proxy is used by CONNECT alone and sees no token.
//   - No secret and no token is shown in an Answer, an error or a log line. What
//     the service says is bounded and shown with control characters escaped.
//
// What the answers mean is in one table, catalogue.go. The package must not know
// the queue or SMTP reply codes; its caller decides what to do about an Answer. It
// follows the documents of Microsoft Graph (user: sendMail, error responses,
// throttling), RFC 9110 for Retry-After and WWW-Authenticate, and RFC 3463 for
// enhanced status codes.
package graph
