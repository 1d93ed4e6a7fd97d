// Package alert keeps what an operator must know now, and tells a webhook when
// it begins, seldom while it lasts, and when it is over.
//
// A fault has a key ("hold:mailbox:a@b", "disk"). Whoever notices it calls
// Alarm with firing set, as often as it likes, and again without when it is
// over. What comes nearer by stages, as the end of a credential does, is said
// with Stage. Firing lists what is on.
//
// # Promises
//
// Alarm never blocks on the network. Each key is told once when it begins,
// again after Config.Repeat while it lasts (by stages: at each), and once when it is over: what
// began and ended while the webhook was down is only in the log. Memory is
// bounded: at most maxKeys faults are known at one time, and a further one is
// logged and not told. A webhook that is down is tried again after 5 s, 10 s,
// ... 10 min, and then hears the newest state of each key, not its past.
//
// The webhook's URL is a secret: it is read from its file at each post, never
// logged and never in an error. It is https, or http on a loopback address;
// redirects are not followed. Alerts do not go through the relay's own mail,
// which is what they may be about.
//
// What was told is not stored: after a restart a fault that goes on is told
// again. The package knows nothing of mail.
package alert
