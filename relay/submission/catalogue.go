package submission

import (
	"time"

	"graphrelay/relay/outcome"
)

const (
	message = outcome.ScopeMessage
	large   = outcome.ScopeLarge
)

// Advice that several rows give.
const (
	adviceRight = `grant the app "Application SMTP.SendAsApp" for this mailbox (graphrelay setup prints how), ` +
		"and wait: it takes 30 minutes to 2 hours to count"
	adviceSwitch = "switch it on for this mailbox alone: Set-CASMailbox -SmtpClientAuthenticationDisabled $false; " +
		"or set delivery.large_messages to upload or off"
	advicePolicy = "exempt the mailbox from the policy that forbids SMTP AUTH (Get-AuthenticationPolicy, security " +
		"defaults, Conditional Access), or set delivery.large_messages to upload or off"
	adviceSize = "raise what the mailbox may send (Set-Mailbox -MaxSendSize), lower smtp.max_message_size, " +
		"or send a link in place of the attachment"
	adviceLimit = "wait: large mail is sent again by itself; it shares the mailbox's limits (3 connections, " +
		"30 messages a minute, 10,000 recipients a day) with whatever else submits as it"
	adviceSent   = "ask a recipient whether it arrived, before the message is sent again by hand"
	adviceServer = "check endpoints.submission, and what stands between this host and the submission server: " +
		"graphrelay doctor --egress"
	adviceReach = "let this host connect to port 587 of the submission server, without a proxy: " +
		"graphrelay doctor --egress"
	adviceTrust = "if something on the way opens TLS, exempt this host, or add its root certificate as ca_file of " +
		"the identity; check this machine's clock"
	adviceCode    = "look up the code in the detail, and mend what it names; large mail is tried again by itself"
	adviceCorrect = "correct the program that made the message"
	adviceRcpts   = "correct the recipients: nobody got the message"
	adviceBlocked = "look under Restricted entities in the Defender portal, find the cause, and unblock the mailbox"
	adviceWait    = "nothing to do: it is retried; if it lasts, see the service health page of the admin centre"
)

// catalogue holds every reply of the submission server that is known; the first match
// wins. A pattern under HTTP is a reply code, one under Code an enhanced status code.
// Whatever is not the message's fault holds large mail of the mailbox, and no other.
func catalogue() []outcome.Row {
	on := outcome.On
	const noLogin = "Exchange refuses the login to submission as this mailbox"
	return []outcome.Row{
		on("250", "", "").Is(outcome.Delivered, message, "2.0.0", "Accepted by submission", ""),
		on("2xx 3xx", "", "").Is(outcome.Unknown, message, "4.3.5",
			"Submission server gave an unknown reply, and may have sent the message", adviceSent),

		on("535", "5.7.139", "disabled for the tenant").
			Hold(large, "4.7.1", "SMTP AUTH is switched off for the tenant", adviceSwitch),
		on("535", "5.7.139", "disabled for the mailbox").
			Hold(large, "4.7.1", "SMTP AUTH is switched off for this mailbox", adviceSwitch),
		on("535", "5.7.139", "criteria|security defaults|policy|blocked").
			Hold(large, "4.7.1", "A policy of the tenant forbids SMTP AUTH for this login", advicePolicy),
		on("535", "5.7.139", "").Hold(large, "4.7.1", noLogin, adviceCode),
		on("535 530", "", "").Hold(large, "4.7.1", "App may not submit as this mailbox", adviceRight),
		on("430", "4.2.0", "").Hold(large, "4.7.1", "App may not open this mailbox for submission", adviceRight),
		on("550", "5.7.30", "").Hold(large, "4.7.1", noLogin, adviceCode),

		on("432", "", "").Retry(large, "4.7.0", "Microsoft limits submission from this mailbox", adviceLimit).
			After(time.Minute),
		on("4xx", "", "concurrent|limit exceeded|submission rate|too many").
			Retry(large, "4.7.0", "Microsoft limits submission from this mailbox", adviceLimit).After(time.Minute),
		on("", "5.1.90 5.2.2", "").Retry(large, "4.7.0",
			"Mailbox has reached its daily limit of messages or recipients", adviceLimit).After(time.Hour),
		on("", "", "SubmissionQuotaExceeded").Retry(large, "4.7.0",
			"Mailbox has reached its daily limit of messages or recipients", adviceLimit).After(time.Hour),

		on("", "5.2.252 5.7.60", "").Hold(outcome.ScopeSendAs, "4.7.1", "Mailbox may not send as this From address",
			"grant the mailbox Send As for the address (Add-RecipientPermission), "+
				"give the sender its own mailbox in the configuration, or correct From"),
		on("", "", "SendAsDenied").Hold(outcome.ScopeSendAs, "4.7.1", "Mailbox may not send as this From address",
			"grant the mailbox Send As for the address (Add-RecipientPermission), "+
				"give the sender its own mailbox in the configuration, or correct From"),
		on("5xx", "5.2.270", "").
			Bounce("5.3.4", "Message is too large for Exchange once its text is converted", adviceSize),
		on("552", "", "").Bounce("5.3.4", "Message is larger than the mailbox may submit", adviceSize),
		on("5xx", "5.3.4 5.2.3", "").Bounce("5.3.4", "Message is larger than the mailbox may submit", adviceSize),
		on("5xx", "5.1.0 5.1.1 5.1.2 5.1.3 5.1.6 5.1.10", "").
			Bounce("5.1.0", "A recipient address was refused by submission", adviceRcpts),
		on("5xx", "5.5.3", "").Bounce("5.5.3", "Too many recipients for submission", adviceRcpts),
		on("5xx", "5.6.*", "").Bounce("5.6.0", "Message is malformed", adviceCorrect),
		on("5xx", "5.7.501 5.7.502 5.7.503 5.1.8 5.7.705 5.7.708", "").
			Hold(large, "4.7.0", "Exchange has blocked the mailbox from sending", adviceBlocked),

		on("4xx", "", "").Retry(message, "4.3.0", "Submission server refuses the message for now", adviceWait),
		on("5xx", "", "").Hold(large, "4.3.5", "Submission server refuses for an unknown reason", adviceCode),
		on("", "", "").Hold(large, "4.3.5", "Submission server answers against the protocol", adviceServer),
	}
}

// The ways in which a submission ends without a reply that decides.
const (
	lostUnreadable = iota // the message could not be read from the queue
	lostAfter             // the final dot had left
	lostBefore            // it had not
	lostStopped           // the relay stops
	lostStall             // a step took too long
	lostTLS
	lostConnect
	lostProtocol
	noStartTLS
	noLogin // XOAUTH2 is not offered
	noUTF8
	tooLarge // by what the server announces
)

func lossCatalogue() []outcome.Row {
	when := outcome.When
	return []outcome.Row{
		lostUnreadable: when("the message cannot be read from the queue").
			Retry(message, "4.3.0", "Stored message cannot be read", "check the disk of the queue (queue.store)"),
		lostAfter: when("no reply comes after the end of the message").Is(outcome.Unknown, message, "4.4.2",
			"Submission server did not confirm the message, and may have sent it", adviceSent),
		lostBefore: when("the connection is lost before the end of the message").
			Retry(message, "4.4.2", "Connection to submission was lost before the end of the message", adviceWait),
		lostStopped: when("the relay stops before the end of the message").
			Retry(message, "4.3.2", "The relay stopped before the message was submitted",
				"nothing to do: it is sent after the start"),
		lostStall: when("the server takes longer than a step may take, before the end of the message").
			Hold(large, "4.4.2", "Submission server stalls", adviceServer),
		lostTLS: when("the server's certificate is not trusted, or TLS fails").
			Hold(large, "4.7.5", "TLS to the submission server fails: its certificate is not trusted", adviceTrust),
		lostConnect: when("no connection: no name, no route, refused, no answer").
			Hold(large, "4.4.1", "No connection to the submission server", adviceReach),
		lostProtocol: when("what answers does not speak SMTP").
			Hold(large, "4.3.5", "Submission server answers against the protocol", adviceServer),
		noStartTLS: when("the server does not offer STARTTLS").
			Hold(large, "4.7.5", "Submission server offers no TLS, so it gets neither token nor mail", adviceServer),
		noLogin: when("the server does not offer XOAUTH2").
			Hold(large, "4.7.0", "Submission server offers no login by OAuth (XOAUTH2)", adviceServer),
		noUTF8: when("an address is not ASCII, and the server does not offer SMTPUTF8").
			Bounce("5.6.7", "Submission server takes no addresses beyond ASCII", adviceRcpts),
		tooLarge: when("the message is larger than the server's SIZE").
			Bounce("5.3.4", "Message is larger than the submission server takes", adviceSize),
	}
}

// Catalogue lists what is known: first what is answered, in the order in which the
// first match wins, then what happens without an answer. The manual is made of it.
func Catalogue() (replies, losses []outcome.Row) { return catalogue(), lossCatalogue() }
