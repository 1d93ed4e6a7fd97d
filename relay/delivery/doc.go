// Package delivery takes messages from the spool to Microsoft Graph: it says
// when each is tried, in which order, how often, and what its answer means for
// its future. It knows neither SMTP nor how a message is sent (Sender does).
//
// # Lanes
//
// Each mailbox has a lane: a goroutine that lives while the mailbox has mail
// waiting. A lane has a few slots (Route.MaxConcurrent), and the lanes of an
// identity share its slots (Route.IdentityConcurrent), which pass from lane to
// lane in turn. A slot is busy only from request to answer: while slots are
// busy the lane claims the next messages (one for each slot, up to four where
// commits are slower than answers), and outcomes are recorded beside the next
// requests. A lane never waits for another one, and keeps at most ten messages
// for each slot in memory, without their bodies, whatever the backlog.
//
// # Throttling
//
// A lane keeps to Graph's limits of one app and mailbox by itself: 150 MB of
// requests in five minutes, 10,000 requests in ten, and the rate that the
// configuration gives the mailbox. When Graph asks for time all the same, the
// lane waits for exactly as long (an hour at most) and then goes on with half of
// its slots, which come back one by one. The identity loses slots only where the
// answer was about it, or when most of its mailboxes with mail are throttled; then
// each of them keeps one.
//
// # The life of a message
//
// A message is Queued when it was accepted, and due at once. Claim makes it
// Active: the attempt is durable before it is made. From there:
//
//   - Graph took it (202): Sent, the end.
//   - Graph refused it for good: Failed with the status of the refusal, kept
//     for keep_failed. A report does not replace it: the report may fail too,
//     and an operator who mends the cause can still send the message.
//   - Its mailbox may not send as its From address, and the client had chosen
//     that address: the same. Where the configuration chose it, a hold.
//   - Too large for one request: in the same attempt it is taken apart and sent
//     as a draft (Uploader), where the configuration says so; signed or
//     encrypted mail, and any without an Uploader, fails like the above.
//   - Certainly not sent, for a passing reason: Queued, due after a backoff of
//     15 s to 30 min, or after the Retry-After of the answer.
//   - The same, and the message is older than max_age (held time not counted):
//     Failed. Age alone fails nothing: an attempt of this run came first.
//   - Perhaps sent (connection lost, 504, panic, crash): Queued with a longer
//     first delay and logged as a possible duplicate, or Held, as configured. Or
//     it is looked up in its mailbox first: found, it is Sent; not found after ten
//     minutes, it is sent again; in doubt, it is Held.
//   - Refused for a reason that is not the message's: Queued, and a hold pauses
//     its mailbox, its identity, or its From address in this mailbox.
//   - Refused that way again and again while others pass: Held alone.
//   - Interrupted by three crashes or panics: Held.
//   - Its stored octets do not match their checksum: Damaged.
//
// An attempt that was recorded ahead and not made (stop, hold, throttling) is
// taken back with Unclaim and counts nowhere. Held messages wait for an
// operator, or become Failed after max_hold.
//
// # Holds
//
// A hold is stored, so that it survives a restart. It is probed with one
// message at a time, each time another one where there is one, after 1, 2, 4,
// ... 30 minutes, at start, and when ProbeNow is called. When a probe passes,
// the hold ends and its lanes go on. A message that met the refusal which began
// a hold is tried again then; after meeting it three more times while others
// passed it is held alone. More than one such answer is asked for because a new
// access policy reaches the servers of Graph one after another, and for up to
// two hours the same request is refused or taken by chance. A refusal of
// something narrower (the mailbox) ends a wider hold (its identity).
//
// Whoever probed, or was taken back because a hold began, keeps the place in
// line. The time in a hold is no part of a message's age, and ends it at max_hold;
// time in two holds at once counts once.
//
// Stop holds a whole identity without probes, until Resume: for the audit, which
// found that it may send as more than it should.
//
// A mailbox that no sender in the configuration uses any more is held with that
// cause, until it is configured again. The hold of an identity that is not
// configured any more, or has another name by now, ends: its mailboxes go on
// when their time in it is credited.
//
// # Reports
//
// Each message that fails is reported once: to its reverse-path, the postmaster
// or both, as the configuration says, as default_sender, through the queue and
// the lanes like any other mail. The store keeps who is owed a report and clears
// that in the commit of the report, so that a crash loses and doubles none.
// Nobody is told of mail with a null reverse-path, auto-submitted mail and
// reports; a report that fails stays Failed and raises an alarm. One that cannot
// be made, for its message cannot be read, raises it too, is tried every minute
// and keeps no other back. The postmaster alone is warned of mail that waits for
// long without a hold.
//
// # On failure
//
// An outcome that cannot be recorded is tried until it can; its message stays
// Active, and so is not attempted meanwhile. A Claim that fails makes its lane
// wait, up to 30 s. A panic of the Sender costs one attempt of one message, and
// one of the Finder a minute; the third holds the message. After many failures in
// a row a lane tries one message at a time, with pauses of 15 s to 5 min, so that
// a backlog is not burnt through while Graph is away.
// Times read from the store are clamped: a clock that jumped back does not make
// a message wait for longer than the longest backoff.
//
// When the context of Run ends, no attempt begins, attempts recorded ahead are
// taken back, running ones get Config.Grace and are then cancelled, and every
// outcome is recorded before Run returns.
package delivery
