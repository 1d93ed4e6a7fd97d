// Package console is the web console: what is being sent, what is waiting and why,
// who connects, and the few things an operator can do about it.
//
// It is rendered here, from embedded templates; one small script refreshes the
// page. It needs nothing from elsewhere and no build tools.
//
// # Promises
//
// Without a session only the login page is shown, and GET changes nothing. A
// session needs the password (a bcrypt hash in the configuration); attempts are
// checked one at a time, and each failure from an address makes its next attempt
// slower. Whoever guesses cannot lock out a browser that has logged in before,
// from any address, nor the clients that a proxy on this host tells apart
// (X-Forwarded-For, believed from loopback only); and however many addresses
// guess, they fail at most once every two seconds. The cookie is HttpOnly and
// SameSite=Strict; each change needs the session's token in its form and a
// request from the console's own pages (Sec-Fetch-Site, Origin). The Host header
// must be a name of this relay (hostheader.Own), so that no foreign page reaches
// the console by a name of its own (DNS rebinding). The content security policy
// allows own files only, no frames, no inline script.
//
// Whatever came with a mail or from a client is of type untrusted: it is escaped
// by html/template, and control, bidirectional and invisible characters in it are
// shown as escapes. The body of a message is never shown.
//
// It speaks HTTP without TLS: it is meant for loopback, an SSH tunnel, or a proxy
// with TLS in front of it that keeps the Host header.
//
// # On failure
//
// Sessions are kept in memory and expire with the service, after twelve hours, or
// after an hour without a request. A store that does not answer is a page that
// says so.
//
// The package knows neither SMTP nor delivery: Config.Operator acts.
package console
