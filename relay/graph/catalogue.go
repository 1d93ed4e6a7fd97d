package graph

import (
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// row is one fact of the catalogue: what an answer looks like, and what it
// means. An empty pattern matches anything; all that are given must match.
type row struct {
	http  string // status codes, "400 413", or classes, "5xx"
	code  string // error.code or an inner code, any of these words, case ignored; "X*" is what begins so, "-" is none
	match string // part of error.message, case ignored
	body  string // "html": the body is a page

	outcome outcome.Outcome
	scope   outcome.Scope
	status  reply.Enhanced
	pause   time.Duration // for Retry, where the answer does not say
	text    string        // what happened
	advice  string        // what to do
}

// Pieces of advice that several rows give.
const (
	adviceAccess = "check that the app may send as this mailbox (RBAC for Applications: Test-ServicePrincipalAuthorization); " +
		"after a new assignment or policy, up to two hours of this are normal, and sending resumes by itself"
	adviceMailbox = "check that the mailbox exists, has a licence and is hosted in Exchange Online; " +
		"a new or newly licensed mailbox takes about 15 minutes; else correct the address in the configuration"
	adviceUser  = "check the mailbox address in the configuration and the tenant it belongs to; a group or distribution list cannot send"
	adviceProxy = "check the endpoint in the configuration, and any proxy between this machine and graph.microsoft.com (HTTPS_PROXY, NO_PROXY)"
	adviceBug   = "the request was not understood, which is a fault of the relay or of something that changes its requests on the way; report it with the request ID"
	adviceSize  = "lower smtp.max_message_size, or send a link in place of the attachment"
	adviceLarge = "set delivery.large_messages: upload, lower smtp.max_message_size or delivery.mime_limit, or send a link in place of the attachment"
	adviceLogin = "check that the app registration and its service principal still exist and are enabled, and this machine's clock"
	adviceQuota = "the sending limits of Exchange Online count for the mailbox; spread the mail over time or over several mailboxes"
	adviceCheck = "look into the Sent Items of the mailbox before sending the message again by hand"
)

// catalogue holds every answer to sendMail that is known, in groups; the first
// match wins. The order is: what settles it by status alone, what a code or a
// message names, and the remainders by status. The table in the manual,
// answers.md, is made of it.
//
// Bounce only follows from 400, 413 and 422, and TooLarge from 400, 413 and the
// notorious 200: everything else is not the message's fault, or not known to be.
func catalogue() []func() []row {
	return []func() []row{settled, throttled, messageFaults, identityFaults, mailboxFaults, transient, remainders}
}

// settled are the answers whose status leaves nothing to ask.
func settled() []row {
	return []row{
		{http: "202", outcome: outcome.Delivered, status: reply.Enhanced{2, 0, 0}, text: "accepted by Graph"},
		{http: "504 408", outcome: outcome.Unknown, status: reply.Enhanced{4, 4, 7}, text: "timed out behind Graph's front door; the message may have been sent", advice: adviceCheck},
		{http: "2xx 3xx", body: "html", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "a web page came in place of Graph's answer", advice: adviceProxy},
		{http: "200", outcome: outcome.TooLarge, status: reply.Enhanced{5, 3, 4}, text: "not sent: Graph answers so when the message is too large", advice: adviceLarge},
		{http: "2xx", outcome: outcome.Unknown, status: reply.Enhanced{4, 3, 5}, text: "a success that sendMail does not document; the message may have been sent", advice: adviceCheck},
		{http: "3xx", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "a redirect, which is not followed", advice: adviceProxy},
	}
}

// throttled are the limits of the service, by status or by name.
func throttled() []row {
	return []row{
		{code: "ErrorSubmissionQuotaExceeded", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, pause: time.Hour, text: "the mailbox has used up its sending quota", advice: adviceQuota},
		{code: "ErrorExceededMessageLimit", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, pause: time.Hour, text: "the mailbox has reached its daily limit of messages or recipients", advice: adviceQuota},
		{code: "ApplicationThrottled", match: "MailboxConcurrency", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, text: "too many requests at once for this mailbox", advice: "lower max_concurrent of the mailbox, or keep other programs of the same app from using it"},
		{code: "ApplicationThrottled TooManyRequests activityLimitReached", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, text: "throttled"},
		{http: "429", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, text: "throttled"},
		{http: "509", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, text: "the bandwidth limit of the app was reached"},
	}
}

// messageFaults are what only another message could cure, and our own bugs
// that look like them.
func messageFaults() []row {
	return []row{
		{code: "ErrorMimeContentInvalidBase64String", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "the body arrived as broken base64", advice: adviceBug},
		{code: "UnableToDeserializePostBody RequestBodyRead", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "the request was not understood", advice: adviceBug},
		{http: "400", code: "BadRequest", match: "json", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "the body was taken for JSON", advice: adviceBug},
		{http: "400 404", code: "BadRequest", match: "resource not found for the segment", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "the URL was not understood", advice: adviceProxy},
		{http: "400 422", code: "ErrorMimeContentInvalid ErrorMimeContentConversionFailed", outcome: outcome.Bounce, status: reply.Enhanced{5, 6, 0}, text: "the message is malformed", advice: "correct the program that made the message"},
		{http: "400 422", match: "MIME content", outcome: outcome.Bounce, status: reply.Enhanced{5, 6, 0}, text: "the message is malformed, empty or incomplete", advice: "correct the program that made the message"},
		{http: "400 422", code: "ErrorInvalidRecipients", match: "no recipients", outcome: outcome.Bounce, status: reply.Enhanced{5, 5, 4}, text: "no recipient was recognised in the message", advice: "correct the recipients; if they look right, report it with the request ID"},
		{http: "400 422", code: "ErrorInvalidRecipients", outcome: outcome.Bounce, status: reply.Enhanced{5, 1, 3}, text: "a recipient address is not valid", advice: "correct the recipients"},
		{http: "400 422", code: "ErrorExceededMaxRecipientLimit*", outcome: outcome.Bounce, status: reply.Enhanced{5, 5, 3}, text: "too many recipients", advice: "lower smtp.max_recipients, raise Set-Mailbox -RecipientLimits, or send to a distribution list"},
		{http: "400 422", code: "InvalidInternetMessageHeader*", outcome: outcome.Hold, scope: outcome.ScopeMessage, status: reply.Enhanced{4, 3, 5}, text: "a header field of the request is not one that Graph takes", advice: adviceBug},
		{http: "400 413", code: "ErrorMessageSizeExceeded", outcome: outcome.Bounce, status: reply.Enhanced{5, 3, 4}, text: "the message exceeds the size that the mailbox may send", advice: adviceSize},
		{http: "400", match: "maximum request length", outcome: outcome.TooLarge, status: reply.Enhanced{5, 3, 4}, text: "the message is too large for one request", advice: adviceLarge},
		{http: "413", outcome: outcome.TooLarge, status: reply.Enhanced{5, 3, 4}, text: "the message is too large for one request", advice: adviceLarge},
	}
}

// identityFaults pause every mailbox of the app.
func identityFaults() []row {
	return []row{
		{code: "InvalidAudience InvalidAudienceForResource", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "the token is meant for another service or cloud", advice: "check the endpoints in the configuration: login and graph must belong to the same cloud"},
		{code: "InvalidAuthenticationToken unauthenticated", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 7, 0}, text: "Graph refuses the app's token, also after a new login", advice: adviceLogin},
		{code: "insufficient_claims", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 7, 1}, text: "a Conditional Access policy refuses the app", advice: "look into the sign-in log of the service principal, and exempt the app or this machine's address from the policy"},
		{code: "Authorization_RequestDenied", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 7, 1}, text: "the app has no permission for this", advice: adviceAccess},
		{http: "401", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 7, 0}, text: "Graph refuses the app's token, also after a new login", advice: adviceLogin},
		{http: "403 407 451", code: "-", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 7, 1}, text: "refused by something that is not Graph", advice: adviceProxy},
		{http: "404 405", code: "-", outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 3, 5}, text: "what answered is not Graph", advice: adviceProxy},
	}
}

// mailboxFaults pause one mailbox, or one From address of it.
func mailboxFaults() []row {
	return []row{
		{code: "ErrorSendAsDenied", outcome: outcome.Hold, scope: outcome.ScopeSendAs, status: reply.Enhanced{4, 7, 1}, text: "the mailbox may not send with this From address", advice: "grant the mailbox Send As for the address (Add-RecipientPermission), give the sender its own mailbox in the configuration, or correct From"},
		{code: "ErrorAccessDenied", match: "[RAOP]", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 1}, text: "an access policy of the tenant blocks the app for this mailbox", advice: adviceAccess + "; newer tenants answer so without any policy, and for mailboxes of administrators, until a role is assigned"},
		{match: "Access to OData is disabled", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 1}, text: "an access policy of the tenant blocks the app for this mailbox", advice: adviceAccess},
		{code: "ErrorAccessDenied accessDenied", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 1}, text: "the app may not use this mailbox", advice: adviceAccess},
		{code: "extensionError", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 1}, text: "the mailbox is on-premises, or a policy blocks the app", advice: adviceAccess},
		{code: "ErrorMessageSubmissionBlocked", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, text: "Exchange has blocked the mailbox from sending", advice: "look under Restricted entities in the Defender portal, find the cause, and unblock the mailbox"},
		{code: "ErrorAccountSuspend", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 0}, text: "the account of the mailbox is suspended", advice: "look under Restricted entities in the Defender portal, and at the account in the admin centre"},
		{code: "ErrorQuotaExceeded", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 2, 2}, text: "the sending mailbox is full", advice: "empty its Sent Items, where every relayed message is kept, and set a retention policy"},
		{http: "507", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 2, 2}, text: "the sending mailbox is full", advice: "empty its Sent Items, where every relayed message is kept, and set a retention policy"},
		{code: "MailboxNotEnabledForRESTAPI MailboxNotSupportedForRESTAPI", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 2, 1}, text: "the mailbox is inactive, unlicensed, on-premises or not ready yet", advice: adviceMailbox},
		{code: "ErrorNonExistentMailbox", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 2, 1}, text: "the address has no mailbox", advice: adviceMailbox},
		{code: "ErrorInvalidUser ResourceNotFound Request_ResourceNotFound", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 1, 8}, text: "the mailbox is not in the directory", advice: adviceUser},
	}
}

// transient are failures of the service by name, whatever the status: a 400
// that says "server busy" must not bounce.
func transient() []row {
	return []row{
		{code: "ErrorItemNotFound ErrorIrresolvableConflict", outcome: outcome.Retry, status: reply.Enhanced{4, 3, 0}, text: "an item vanished or changed meanwhile"},
		{code: "invalidRange*", outcome: outcome.Retry, status: reply.Enhanced{4, 3, 0}, text: "a part was sent that does not follow the last one"},
		{code: "ErrorServerBusy ErrorInternalServerTransientError ErrorInternalServerError ErrorMailboxStoreUnavailable ErrorMailboxMoveInProgress " +
			"ServiceUnavailable serviceNotAvailable", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 3, 0}, text: "a transient failure of the service"},
		{http: "400 422", code: "generalException UnknownError", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 3, 0}, text: "a transient failure of the service"},
	}
}

// remainders decide what nobody has heard of: a code of Graph's own on 400 or
// 422 is about the message; anything else loses nothing by waiting.
func remainders() []row {
	return []row{
		{http: "503", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 3, 2}, text: "the service is unavailable for now"},
		{http: "502", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 4, 1}, text: "Graph's front door could not reach the service"},
		{http: "5xx", outcome: outcome.Retry, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 3, 0}, text: "a failure of the service"},
		{http: "409 412 416 423 425", outcome: outcome.Retry, status: reply.Enhanced{4, 3, 0}, text: "a conflict with something else"},
		{http: "400 422", code: "-", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 3, 5}, text: "refused without an error of Graph, so perhaps by something else on the way", advice: adviceProxy},
		{http: "400 422", outcome: outcome.Bounce, status: reply.Enhanced{5, 0, 0}, text: "refused for a reason that is not in the catalogue", advice: "look up the code; if it is not the message's fault, report it with the request ID"},
		{http: "403 404", outcome: outcome.Hold, scope: outcome.ScopeMailbox, status: reply.Enhanced{4, 7, 1}, text: "refused for a reason that is not in the catalogue", advice: adviceAccess},
		{outcome: outcome.Hold, scope: outcome.ScopeIdentity, status: reply.Enhanced{4, 0, 0}, text: "an answer that is not in the catalogue", advice: adviceProxy},
	}
}
