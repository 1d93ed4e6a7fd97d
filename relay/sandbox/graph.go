package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Handler answers as login.microsoftonline.com and graph.microsoft.com do;
// their paths do not collide, so one host serves both.
func (d *Double) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, err := segments(r.URL)
		switch {
		case err != nil || len(path) < 2:
			http.NotFound(w, r)
		case strings.EqualFold(path[0], "v1.0") || strings.EqualFold(path[0], "beta"):
			d.graph(w, r, path[1:])
		case path[0] == "api":
			d.upload(w, r)
		default:
			d.entra(w, r, path[0], path[1:])
		}
	})
}

// segments splits the path before it decodes it: an escaped slash is part of a
// mailbox, not a separator.
func segments(u *url.URL) ([]string, error) {
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, err
		}
		parts[i] = decoded
	}
	return parts, nil
}

// graph finds the action: users/{id}/sendMail, with or without its namespace.
func (d *Double) graph(w http.ResponseWriter, r *http.Request, path []string) {
	if len(path) == 3 && strings.EqualFold(path[0], "users") && isSendMail(path[2]) {
		x := d.begin(w, r, "sendMail", fold(path[1]))
		defer x.end()
		d.sendMail(x, path[1])
		return
	}
	if len(path) >= 3 && strings.EqualFold(path[0], "users") && d.mailboxAPI(w, r, path[1], path[2:]) {
		return
	}
	if d.application(w, r, path) {
		return
	}
	x := d.begin(w, r, "other", "")
	defer x.end()
	x.run(func() *answer {
		if refused := d.tokens.check(r.Header.Get("Authorization")); refused != nil {
			return refused
		}
		return graphError(http.StatusBadRequest,
			"BadRequest", fmt.Sprintf("Resource not found for the segment '%s'.", printable(path[len(path)-1])))
	})
}

func isSendMail(segment string) bool {
	return strings.EqualFold(segment, "sendMail") || strings.EqualFold(segment, "microsoft.graph.sendMail")
}

// run answers a request that is not sendMail, under the fault script.
func (x *exchange) run(normal func() *answer) {
	f := x.d.faults.take(x.endpoint, x.mailbox, nil)
	if f != nil && f.replaces() {
		x.play(f)
		return
	}
	a := normal()
	if f != nil && f.late() {
		x.play(f)
		return
	}
	if f != nil && !x.d.sleep(f.Latency) {
		dropConnection(x.r)
	}
	x.drain()
	if a.status >= 300 {
		x.refused(a)
	}
	x.write(a)
}

// sendMail takes one message. From the end of the body on nothing depends on
// the client any more: it may hang up, and the message is recorded all the
// same, as the real service promises nothing else.
func (d *Double) sendMail(x *exchange, id string) {
	f := d.faults.take(x.endpoint, x.mailbox, nil)
	if f != nil && f.replaces() {
		x.play(f)
		return
	}
	in, refused := d.receive(x, id)
	if f == nil && in != nil {
		f = d.faults.take(x.endpoint, x.mailbox, &in.Message)
	}
	if f != nil && f.replaces() {
		x.play(f)
		return
	}
	if !d.sleep(d.delay(f)) {
		dropConnection(x.r)
	}
	a := refused
	if a == nil {
		a = d.accept(x, in)
	}
	x.finish(a, f)
}

// delay is the latency of one request. A fault that strikes late brings its
// own only after the message was recorded.
func (d *Double) delay(f *Fault) time.Duration {
	latency := time.Duration(d.latency.Load())
	if f != nil && !f.late() {
		latency += f.Latency
	}
	return latency
}

// finish writes the answer, or lets a late fault strike where it was a success.
func (x *exchange) finish(a *answer, f *Fault) {
	if f != nil && f.late() && a.status == http.StatusAccepted {
		x.play(f)
		return
	}
	if a.status != http.StatusAccepted {
		x.drain()
		x.refused(a)
	}
	x.write(a)
}

// receive makes the checks that a request must pass, in the order in which the
// answers of the service suggest it makes them: token, throttle, mailbox,
// permission, content.
func (d *Double) receive(x *exchange, id string) (*incoming, *answer) {
	for _, refused := range []func() *answer{
		func() *answer { return d.tokens.check(x.r.Header.Get("Authorization")) },
		func() *answer { return methodAllowed(x.r.Method) },
		func() *answer { return d.throttled(x) },
		func() *answer { return d.mailboxExists(id) },
		func() *answer { return d.mayUse(x, []string{"Mail.Send"}) },
	} {
		if a := refused(); a != nil {
			return nil, a
		}
	}
	in, refused := d.readMail(x)
	if refused != nil {
		return nil, refused
	}
	if refused := d.checkMail(x.mailbox, &in.Message); refused != nil {
		return nil, refused
	}
	return in, nil
}

func methodAllowed(method string) *answer {
	if method == http.MethodPost {
		return nil
	}
	return graphError(http.StatusMethodNotAllowed, "Request_BadRequest",
		"Specified HTTP method is not allowed for the request target.")
}

// throttled holds Graph's limit of 4 concurrent requests per application and
// mailbox [D throttling-limits as quoted by vendors]. Retry-After is the least
// a client can be told; scripts give longer ones.
func (d *Double) throttled(x *exchange) *answer {
	limit := d.o.MaxConcurrentPerMailbox
	if limit < 0 || x.crowd <= limit {
		return nil
	}
	a := graphError(http.StatusTooManyRequests, "ApplicationThrottled",
		"Application is over its MailboxConcurrency limit.")
	a.header = map[string]string{"Retry-After": "1"}
	return a
}

// mailboxExists answers 404 [I]: ErrorInvalidUser for an address,
// ResourceNotFound for what can only be an object id.
func (d *Double) mailboxExists(id string) *answer {
	access, _ := d.tenant.effective(d.propagated())
	switch {
	case slices.Contains(access.OnPremises, fold(id)):
		return graphError(http.StatusNotFound, "MailboxNotEnabledForRESTAPI",
			"The mailbox is either inactive, soft-deleted, or is hosted on-premise.")
	case d.tenant.exists(fold(id)):
		return nil
	case strings.Contains(id, "@"):
		return graphError(http.StatusNotFound,
			"ErrorInvalidUser", fmt.Sprintf("The requested user '%s' is invalid.", printable(id)))
	}
	return graphError(http.StatusNotFound, "ResourceNotFound", "Resource could not be discovered.")
}

// mayUse refuses what the application may not do in the mailbox for want of
// every one of the permissions; nil stands for Mail.Send.
func (d *Double) mayUse(x *exchange, anyOf []string) *answer {
	if access, modelled := d.tenant.effective(d.propagated()); modelled {
		if anyOf == nil {
			anyOf = []string{"Mail.Send"}
		}
		return access.refusal(anyOf, d.tokens.consents(x.r.Header.Get("Authorization")), x.mailbox)
	}
	if !d.tenant.permits(x.mailbox) {
		return blockedByPolicy()
	}
	return d.permitted(anyOf)
}

// checkMail makes the checks on content that both forms share.
func (d *Double) checkMail(mailbox string, m *Message) *answer {
	if len(m.Recipients) == 0 {
		// [I] also where To is only undisclosed-recipients:; and there is no Bcc
		return graphError(http.StatusBadRequest, "ErrorInvalidRecipients",
			"At least one recipient is not valid., A message can't be sent because it contains no recipients.")
	}
	if !d.mayBeFrom(mailbox, m) {
		return graphError(http.StatusForbidden, "ErrorSendAsDenied",
			"The user account which was used to submit this request does not have the right to send mail on behalf "+
				"of the specified sending account., Cannot submit message.")
	}
	return nil
}

// mayBeFrom holds every address of From, in either reading, to the mailbox and
// its SendAs grants [I, D outlook-send-mail-from-other-user]. A message
// without From is sent as the mailbox: the draft is created there [K]. A bare
// address as display name, `From: a@b <a@b>`, is refused [I].
func (d *Double) mayBeFrom(mailbox string, m *Message) bool {
	if m.badFrom {
		return false
	}
	for _, address := range m.FromAddresses {
		if !d.tenant.maySay(mailbox, address) {
			return false
		}
	}
	return true
}

// accept records the message; only then is it 202 with an empty body [D
// user-sendmail].
func (d *Double) accept(x *exchange, in *incoming) *answer {
	if d.o.SilentAbove > 0 && in.Form == "mime" && in.Size > d.o.SilentAbove {
		d.log.Warn("answered 200 and not sent, as large MIME was reported to be", "mailbox", x.mailbox, "size", in.Size)
		return &answer{status: http.StatusOK}
	}
	in.At, in.RequestID = d.o.Now(), x.requestID
	m, err := d.store.add(in)
	if err != nil {
		d.log.Error("a message could not be stored; free the disk or correct the folder's owner", "error", err)
		return graphError(http.StatusInternalServerError, "ErrorInternalServerError",
			"An internal server error occurred. The operation failed.")
	}
	d.log.Info("received", "id", m.ID, "mailbox", m.Mailbox, "from", m.From, "recipients", len(m.Recipients),
		"size", m.Size, "message_id", m.MessageID, "subject", m.Subject)
	d.deliver(m)
	if d.o.OnMessage != nil {
		d.o.OnMessage(m)
	}
	return &answer{status: http.StatusAccepted}
}
