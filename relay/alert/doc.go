// Package alert keeps the faults that an operator must know about now, and
// notifies a webhook when one begins, now and then while it lasts, and when it is
// over. Its Watcher finds those that follow from the state of the service.
//
// A fault has a key ("hold:mailbox:a@b", "disk"). Whoever notices it calls Alarm
// with firing set, as often as it likes, and again without when it is over. Stage
// is for what approaches in stages, as the expiry of a credential does. Firing
// lists the faults that are on.
//
// # Promises
//
// Alarm never blocks on the network. Each key is notified once when it begins,
// again after Config.Repeat while it lasts (in stages: at each), and once when it
// is over; a fault that began and ended while the webhook was down is only in the
// log. Memory is bounded: at most maxKeys faults are known at one time, and a
// further one is logged and not notified. Failed requests are retried after 5 s,
// 10 s, ... 10 min, with the latest state of each key, not its past.
//
// The webhook's URL is a secret: it is read from its file for each request, never
// logged and never in an error. It is https, or http on a loopback address;
// redirects are not followed. Alerts do not go through the relay's own mail,
// which they may be about.
//
// Notifications are not stored: after a restart, ongoing faults are reported
// again. The package knows nothing of mail.
package alert
