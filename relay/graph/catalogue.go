package graph

import (
	"slices"
	"time"

	"graphrelay/relay/entra"
	"graphrelay/relay/outcome"
)

const (
	message  = outcome.ScopeMessage
	mailbox  = outcome.ScopeMailbox
	identity = outcome.ScopeIdentity
)

// Pieces of text and advice that several rows give.
const (
	accepted = "Accepted by Graph"
	blocked  = "App may not send as this mailbox: no role, or an access policy blocks it"
	full     = "Mailbox is full"
	between  = "Something between this machine and Graph refuses the request"
	page     = "A web page came in place of Graph's answer"

	adviceAccess = "check that the app still has its role for this mailbox " +
		"(RBAC for Applications: Test-ServicePrincipalAuthorization), or its consent to Mail.Send (API permissions); " +
		"after a new assignment or policy, up to two hours of this are normal, and sending resumes by itself"
	adviceMailbox = "check that the mailbox exists, has a licence and is hosted in Exchange Online; " +
		"a new or newly licensed mailbox takes about 15 minutes; else correct the address in the configuration"
	adviceUser = "check the mailbox address in the configuration and the tenant it belongs to; " +
		"a group or distribution list cannot send"
	AdviceProxy = "check the endpoint in the configuration, " +
		"and any proxy between this machine and graph.microsoft.com (HTTPS_PROXY, NO_PROXY)"
	adviceBug = "report it with the request ID: it is a fault of the relay, " +
		"or of something that changes its requests on the way"
	AdviceSize  = "lower smtp.max_message_size, or send a link in place of the attachment"
	adviceLarge = "set delivery.large_messages: upload, lower smtp.max_message_size or delivery.mime_limit, " +
		"or send a link in place of the attachment"
	adviceLogin = "check that the app registration and its service principal still exist and are enabled, " +
		"and this machine's clock"
	adviceQuota = "the sending limits of Exchange Online count for the mailbox; " +
		"spread the mail over time or over several mailboxes"
	adviceCheck = "look into the Sent Items of the mailbox before sending the message again by hand"
	adviceFull  = "empty its Sent Items, where every relayed message is kept, and set a retention policy"

	adviceWait  = "nothing to do: it is retried; if it lasts, see the service health page of the admin centre"
	adviceCrowd = "lower max_concurrent of the mailbox, or keep other programs of the same app from using it"
)

// catalogue holds every answer to sendMail that is known; the first match wins. The order
// is: what settles it by status alone, what passes, what a code or a message names, and
// the remainders by status. The table in the manual, answers.md, is made of it.
//
// Bounce only follows from 400, 413 and 422, and TooLarge from 400, 413 and the
// notorious 200: everything else is not the message's fault, or not known to be.
func catalogue() []outcome.Row {
	return slices.Concat(
		settled(), throttled(), transient(), messageFaults(), identityFaults(), mailboxFaults(), remainders(),
	)
}

// settled are the answers whose status leaves nothing to ask.
func settled() []outcome.Row {
	on := outcome.On
	return []outcome.Row{
		on("202", "", "").Is(outcome.Delivered, message, "2.0.0", accepted, ""),
		on("504 408", "", "").Is(outcome.Unknown, message, "4.4.7",
			"Graph did not answer in time, and may have sent the message", adviceCheck),
		outcome.OnPage("2xx 3xx").Hold(identity, "4.3.5", page, AdviceProxy),
		on("200", "", "").Is(outcome.TooLarge, message, "5.3.4",
			"Message is too large for one request", adviceLarge),
		on("2xx", "", "").Is(outcome.Unknown, message, "4.3.5",
			"Graph gave an unknown answer, and may have sent the message", adviceCheck),
		on("3xx", "", "").Hold(identity, "4.3.5", "A redirect came in place of Graph's answer", AdviceProxy),
	}
}

// crowdedPause is the pause after a limit of requests at once that names no time:
// half of the slots are in use then.
const crowdedPause = 15 * time.Second

// throttled are the limits of the service, by status or by name.
func throttled() []outcome.Row {
	on := outcome.On
	const (
		crowded   = "Too many requests at once for this mailbox"
		throttled = "Microsoft limits the sending rate of this mailbox"
	)
	return []outcome.Row{
		on("", "ErrorSubmissionQuotaExceeded", "").
			Retry(mailbox, "4.7.0", "Mailbox has used up its sending quota", adviceQuota).After(time.Hour),
		on("", "ErrorExceededMessageLimit", "").Retry(mailbox, "4.7.0",
			"Mailbox has reached its daily limit of messages or recipients", adviceQuota).After(time.Hour),
		on("", "ApplicationThrottled", "MailboxConcurrency").
			Retry(mailbox, "4.7.0", crowded, adviceCrowd),
		on("", "ApplicationThrottled TooManyRequests activityLimitReached", "").
			Retry(mailbox, "4.7.0", throttled, adviceQuota),
		on("429", "", "").Retry(mailbox, "4.7.0", throttled, adviceQuota),
		on("509", "", "").Retry(mailbox, "4.7.0", "App has reached its bandwidth limit", adviceQuota),
		on("", "*Concurrency* *ConnectionCount* *TooManyObjects*", "").
			Retry(mailbox, "4.7.0", crowded, adviceCrowd).After(crowdedPause),
		on("4xx 5xx", "", "concurrency|concurrent|too many objects").
			Retry(mailbox, "4.7.0", crowded, adviceCrowd).After(crowdedPause),
	}
}

// messageFaults are what only another message could cure, and our own bugs
// that look like them.
func messageFaults() []outcome.Row {
	on := outcome.On
	const correct, tooLarge = "correct the program that made the message", "Message is too large for one request"
	return []outcome.Row{
		on("", "ErrorMimeContentInvalidBase64String", "").
			Hold(identity, "4.3.5", "Graph received a damaged request", adviceBug),
		on("", "UnableToDeserializePostBody RequestBodyRead", "").
			Hold(identity, "4.3.5", "Graph did not understand the request", adviceBug),
		on("400", "BadRequest", "json").Hold(identity, "4.3.5", "Graph did not take the message as mail", adviceBug),
		on("400 404", "BadRequest", "resource not found for the segment").
			Hold(identity, "4.3.5", "Graph does not know the address of the request", AdviceProxy),
		on("400 422", "ErrorMimeContentInvalid ErrorMimeContentConversionFailed", "").
			Bounce("5.6.0", "Message is malformed", correct),
		on("400 422", "", "MIME content").Bounce("5.6.0", "Message is malformed, empty or incomplete", correct),
		on("400 422", "ErrorInvalidRecipients", "no recipients").
			Bounce("5.5.4", "Graph recognised no recipient in the message",
				"correct the recipients; if they look right, report it with the request ID"),
		on("400 422", "ErrorInvalidRecipients", "").
			Bounce("5.1.3", "A recipient address is not valid", "correct the recipients"),
		on("400 422", "ErrorExceededMaxRecipientLimit*", "").Bounce("5.5.3", "Too many recipients",
			"lower smtp.max_recipients, raise Set-Mailbox -RecipientLimits, or send to a distribution list"),
		on("400 422", "InvalidInternetMessageHeader*", "").
			Hold(message, "4.3.5", "Graph refuses a header field of the request", adviceBug),
		on("400 413", "ErrorMessageSizeExceeded", "").
			Bounce("5.3.4", "Message is larger than the mailbox may send", AdviceSize),
		on("400", "", "maximum request length").Is(outcome.TooLarge, message, "5.3.4", tooLarge, adviceLarge),
		on("413", "", "").Is(outcome.TooLarge, message, "5.3.4", tooLarge, adviceLarge),
	}
}

// identityFaults pause every mailbox of the app.
func identityFaults() []outcome.Row {
	on := outcome.On
	const refused = "Graph refuses the app's login"
	return []outcome.Row{
		on("", "InvalidAudience InvalidAudienceForResource", "").
			Hold(identity, "4.3.5", "Login and Graph belong to different clouds",
				"check the endpoints in the configuration: login and graph must belong to the same cloud"),
		on("", "InvalidAuthenticationToken unauthenticated", "").Hold(identity, "4.7.0", refused, adviceLogin),
		on("", "insufficient_claims", "").Hold(identity, "4.7.1", "A Conditional Access policy refuses the app",
			"look into the sign-in log of the service principal, "+
				"and exempt the app or this machine's address from the policy"),
		on("", "Authorization_RequestDenied", "").
			Hold(identity, "4.7.1", "App has no permission to send", adviceAccess),
		on("", "OrganizationFromTenantGuidNotFound", "").Hold(identity, "4.3.5", "Tenant has no Exchange Online",
			"check tenant_id in the configuration; the tenant needs Exchange Online, with a licence for the mailbox"),
		on("401", "", "").Hold(identity, "4.7.0", refused, adviceLogin),
		on("403 407 451", "-", "").Hold(identity, "4.7.1", between, AdviceProxy),
		on("404 405", "-", "").Hold(identity, "4.3.5", "What answered is not Graph", AdviceProxy),
	}
}

// mailboxFaults pause one mailbox, or one From address of it.
func mailboxFaults() []outcome.Row {
	on := outcome.On
	return []outcome.Row{
		// Decide fails the message instead where the client chose From.
		on("", "ErrorSendAsDenied", "").
			Hold(outcome.ScopeSendAs, "4.7.1", "Mailbox may not send as this From address",
				"grant the mailbox Send As for the address (Add-RecipientPermission), "+
					"give the sender its own mailbox in the configuration, or correct From"),
		on("", "ErrorAccessDenied", "[RAOP]").Hold(mailbox, "4.7.1", blocked, adviceAccess+
			"; newer tenants answer this without any policy, and for mailboxes of administrators, "+
			"until a role is assigned"),
		on("", "", "Access to OData is disabled").Hold(mailbox, "4.7.1", blocked, adviceAccess),
		on("", "ErrorAccessDenied accessDenied", "").
			Hold(mailbox, "4.7.1", "App may not send as this mailbox", adviceAccess),
		on("", "extensionError", "").
			Hold(mailbox, "4.7.1", "Mailbox is on-premises, or a policy blocks the app", adviceAccess),
		on("", "ErrorMessageSubmissionBlocked", "").
			Hold(mailbox, "4.7.0", "Exchange has blocked the mailbox from sending",
				"look under Restricted entities in the Defender portal, find the cause, and unblock the mailbox"),
		on("", "ErrorAccountSuspend*", "").Hold(mailbox, "4.7.0", "Account of the mailbox is suspended",
			"look under Restricted entities in the Defender portal, and at the account in the admin centre"),
		on("", "*AccountDisabled*", "").Hold(mailbox, "4.2.1", "Account of the mailbox is disabled",
			"look at the account and its licence in the admin centre; "+
				"a mailbox that Exchange shows as shared needs no sign-in"),
		on("", "*InvalidLicense*", "").Hold(mailbox, "4.2.1", "Mailbox has no valid licence", adviceMailbox),
		on("", "RequestBroker--ParseUri ErrorInvalidIdMalformed*", "").
			Hold(mailbox, "4.1.8", "Mailbox address is not one that Graph knows",
				adviceUser+"; the mailbox needs a licence"),
		on("", "ErrorQuotaExceeded", "").Hold(mailbox, "4.2.2", full, adviceFull),
		on("507", "", "").Hold(mailbox, "4.2.2", full, adviceFull),
		on("", "*NotEnabledForRESTAPI *NotSupportedForRESTAPI", "").
			Hold(mailbox, "4.2.1", "Mailbox is inactive, unlicensed, on-premises or not ready yet", adviceMailbox),
		on("", "ErrorNonExistentMailbox", "").Hold(mailbox, "4.2.1", "Mailbox does not exist", adviceMailbox),
		on("", "ErrorInvalidUser ResourceNotFound Request_ResourceNotFound", "").
			Hold(mailbox, "4.1.8", "Mailbox does not exist in the tenant", adviceUser),
	}
}

const failure = "Microsoft 365 has a temporary fault"

// transient are failures of the service by name, whatever the status: a 400
// that says "server busy" must not bounce, and a 403 that says "try again later"
// must not hold the mailbox.
//
// Microsoft says of two answers that they can follow a message which was
// delivered all the same.
func transient() []outcome.Row {
	on := outcome.On
	return []outcome.Row{
		on("500", "UnknownError ErrorInternalServerError", "").
			Retry(mailbox, "4.3.0", failure+", and may have sent the message", adviceCheck).Doubtful(),
		on("", "ErrorItemNotFound ErrorIrresolvableConflict", "").
			Retry(message, "4.3.0", failure, adviceWait),
		on("", "invalidRange*", "").
			Retry(message, "4.3.0", "Graph lost a part of the upload", adviceWait),
		on("", "ErrorMessageTransientError", "").Retry(message, "4.3.0", failure, adviceWait),
		on("", "*ServerBusy* *Transient* *Timeout* *TimedOut* *Unavailable* serviceNotAvailable *Stale* "+
			"*MoveInProgress* *Failover* *ConnectionFailed* *InsufficientResources* ErrorInternalServerError", "").
			Retry(mailbox, "4.3.0", failure, adviceWait),
		on("400 422", "generalException UnknownError", "").Retry(mailbox, "4.3.0", failure, adviceWait),
		on("4xx", "", "transient|try again later|try again in|timeout|timed out|temporarily|server is busy|"+
			"unavailable|info is stale|infostale|failover").
			Retry(message, "4.3.0", "Microsoft 365 refuses the message for now", adviceWait),
	}
}

// remainders decide what nobody has heard of: a code of Graph's own on 400 or
// 422 is about the message; anything else loses nothing by waiting.
func remainders() []outcome.Row {
	on := outcome.On
	const failure, unheard = "Microsoft 365 has a temporary fault", "Microsoft 365 refuses for an unknown reason"
	return []outcome.Row{
		on("503", "", "").Retry(mailbox, "4.3.2", "Microsoft 365 is unavailable", adviceWait),
		on("502", "", "").Retry(mailbox, "4.4.1", "Microsoft 365 is unavailable", adviceWait),
		on("5xx", "", "").Retry(mailbox, "4.3.0", failure, adviceWait),
		on("409 412 416 423 425", "", "").Retry(message, "4.3.0", failure, adviceWait),
		on("400 422", "-", "").Hold(mailbox, "4.3.5", between, AdviceProxy),
		on("400 422", "", "").Bounce("5.0.0", unheard,
			"look up the code; if it is not the message's fault, report it with the request ID"),
		on("403 404", "", "").Hold(mailbox, "4.7.1", unheard, adviceAccess),
		on("", "", "").Hold(identity, "4.0.0", "Graph gave an unknown answer", AdviceProxy),
	}
}

// Fact is one row of the catalogue as people read it: the manual is made of
// these, and each is tried against the double.
type Fact struct {
	Of Source
	outcome.Row
}

// Source is what a Fact is about.
type Source string

// The sources, in the order of Catalogue.
const (
	OfGraph      Source = "sendMail"   // answers to sendMail
	OfDraft      Source = "draft"      // the same to the requests for a draft, where they mean something else
	OfDraftSend  Source = "send"       // the same to the request that sends the draft
	OfConnection Source = "connection" // no answer
	OfLogin      Source = "login"      // answers to a login
	OfNumber     Source = "number"     // advice for the numbers in them
	OfMetadata   Source = "metadata"   // answers of the metadata service of an Azure machine
)

// Catalogue lists everything that is known, by source and in the order in which
// the first match wins.
func Catalogue() []Fact {
	var all []Fact
	for _, table := range []struct {
		of   Source
		rows []outcome.Row
	}{
		{OfGraph, catalogue()},
		{OfDraft, Step{Needs: RoleReadWrite}.Exceptions()},
		{OfDraftSend, Step{MayDepart: true}.Exceptions()},
		{OfConnection, lossCatalogue()},
		{OfLogin, entra.Refusals()},
		{OfNumber, entra.Numbers()},
		{OfMetadata, entra.MetadataRefusals()},
	} {
		for _, r := range table.rows {
			all = append(all, Fact{table.of, r})
		}
	}
	return all
}
