// Package delivery takes messages from the spool to Microsoft Graph: it decides
// when each is tried, in which order, how often, and what to do after the answer.
// It knows neither SMTP nor how a message is sent (Sender does). How fast a
// mailbox may send is decided in package pace, and what is held in package hold.
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
// lane waits for exactly as long (an hour at most) and then continues with half of
// its slots; the others come back one by one. The identity loses slots only where the
// answer was about it, or when most of its mailboxes with mail are throttled; then
// each of them keeps one.
//
// # The life of a message
//
// A message is Queued when it was accepted, and due at once. Claim makes it
// Active: the attempt is durable before it is made. From there:
//
//   - Graph accepted it (202): Sent, the end.
//   - Graph refused it for good: Failed with the status of the refusal, kept
//     for keep_failed. A report does not replace it: the report may fail too, and
//     an operator who fixes the cause can still send the message.
//   - Its mailbox may not send as its From address, and the client had chosen
//     that address: the same. Where the configuration chose it (ConfiguredFrom), a
//     hold.
//   - Too large for one request: in the same attempt it is sent in parts, as a
//     draft (Uploader), where the configuration says so; signed or encrypted mail,
//     and any without an Uploader, fails like the above.
//   - Certainly not sent, for a temporary reason: Queued, due after a backoff of
//     15 s to 30 min, or after the Retry-After of the answer.
//   - The same, and the message is older than max_age (held time not counted):
//     Failed. Age alone fails nothing: this run has tried it first.
//   - Perhaps sent (connection lost, 504, panic, crash, and unless the
//     configuration says retry a 500 that can follow a sent message): Queued with a longer
//     first delay and logged as a possible duplicate, or Held, as configured. Or
//     it is looked up in its mailbox first: if found, it is Sent; if not found
//     after ten minutes, it is sent again; in doubt, it is Held.
//   - Refused for a reason that is not the message's: Queued, and a hold pauses
//     its mailbox, its identity, or its From address in this mailbox.
//   - Refused that way again and again while others pass: Held alone.
//   - Interrupted by three crashes or panics: Held.
//   - Its stored bytes do not match their checksum: Damaged.
//
// An attempt that was recorded ahead and not made (shutdown, hold, throttling) is
// taken back with Unclaim and counts nowhere. Held messages wait for an
// operator, or become Failed after max_hold.
//
// # Holds
//
// A hold is stored, so that it survives a restart. It is probed with one
// message at a time, each time another one where there is one, after 1, 2, 4,
// ... 30 minutes, at start, when ProbeNow is called, and when something happens
// that may have ended what began it (LoggedIn, an answer after probes that got
// none), but then with growing gaps. A probe that got no answer proves nothing,
// and another follows within 5 minutes. When a probe passes,
// the hold ends and its lanes continue. A message that met the refusal which began
// a hold is tried again then; after meeting it three more times while others
// passed it is held alone. One such answer is not enough because a new access
// policy reaches the servers of Graph one after another: for up to two hours the
// same request is refused or accepted by chance. A refusal of something narrower
// (the mailbox) ends a wider hold (its identity).
//
// A message that probed, or was taken back because a hold began, keeps its place
// in line. Time in a hold does not count towards a message's age; at max_hold the
// message fails. Time in two holds at once counts once.
//
// HoldIdentity holds a whole identity without probes, until ReleaseIdentity: for
// the audit, which found that it may send as more than it should.
//
// A mailbox that no sender in the configuration uses any more is held for that
// cause, until it is configured again. The hold of an identity that is no longer
// configured, or has another name by now, ends: its mailboxes continue when their
// time in it is credited.
//
// # Reports
//
// Each message that fails is reported once: to its reverse-path, the postmaster
// or both, as the configuration says, as default_sender, through the queue and
// the lanes like any other mail. The store keeps who is owed a report and clears
// that in the commit of the report, so that a crash loses and doubles none.
// Mail with a null reverse-path, auto-submitted mail and reports get none; a
// report that fails stays Failed and raises an alarm. One that cannot be written,
// because its message cannot be read, raises it too, is retried every minute and
// delays no other. Only the postmaster is warned of mail that waits for long
// without a hold.
//
// # On failure
//
// An outcome that cannot be recorded is retried until it can; its message stays
// Active, and so is not attempted meanwhile. A Claim that fails makes its lane
// wait, up to 30 s. A panic of the Sender costs one attempt of one message, and
// one of the Finder a minute; the third holds the message. After many failures in
// a row a lane tries one message at a time, with pauses of 15 s to 5 min, so that
// a backlog does not use up its attempts while Graph is down. It does so from the
// first 500 on that leaves in doubt whether a message was sent. Then the messages
// under way may be held, one for each slot; those tried later in the same outage
// are retried.
// Times read from the store are clamped: a clock that jumped back does not make
// a message wait for longer than the longest backoff.
//
// When the context of Run ends, no attempt begins, attempts recorded ahead are
// taken back, running ones get Config.Grace and are then cancelled, and every
// outcome is recorded before Run returns.
package delivery
