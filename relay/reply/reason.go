package reply

import (
	"strings"
	"unicode"
)

// Reason is why something was refused, in the words of an administrator, and what
// to do. It is the same for each refusal of its kind, so that equal ones can be
// counted.
type Reason struct {
	Cause  string // at most 100 characters
	Remedy string
}

// Reason returns what the text for the client means to an administrator.
func (e *Error) Reason() Reason {
	for _, k := range kinds() {
		if matches(k.text, e.Text) {
			return k.Reason
		}
	}
	return Reason{plain(e.Text), Remedy(e.Enhanced, "")}
}

// Remedy is what to do about a refusal with this status and cause.
func Remedy(status Enhanced, cause string) string {
	for _, k := range kinds() {
		if k.Cause == cause {
			return k.Remedy
		}
	}
	switch {
	case status[0] == 4:
		return "see the log: the client tries again"
	case status[1] == 6:
		return "correct the program that writes the message"
	}
	return "correct the client: it does not speak SMTP as the standards want"
}

// matches reports whether a text is the pattern with other words for each "…".
func matches(pattern, text string) bool {
	pieces := strings.Split(pattern, "…")
	rest, ok := strings.CutPrefix(text, pieces[0])
	for _, piece := range pieces[1:] {
		if !ok {
			return false
		}
		if _, rest, ok = strings.Cut(rest, piece); piece == "" {
			rest = ""
		}
	}
	return ok && rest == ""
}

// plain is a text without what differs from one refusal to the next: addresses,
// numbers, and whatever follows a colon or semicolon.
func plain(text string) string {
	text, _, _ = strings.Cut(text, "; ")
	text, _, _ = strings.Cut(text, ": ")
	words := strings.FieldsFunc(text, unicode.IsSpace)
	kept := words[:0]
	for _, w := range words {
		if !strings.ContainsAny(w, "@0123456789") {
			kept = append(kept, w)
		}
	}
	s := strings.Join(kept, " ")
	return s[:min(len(s), 100)]
}

type kind struct {
	text string // for the client, with "…" for what differs
	Reason
}

// kinds lists the refusals whose text for the client says too little, or names
// what differs. packaging/doc/replies.md lists all of them.
func kinds() []kind { return append(kindsOfClients(), kindsOfMessages()...) }

func kindsOfClients() []kind {
	const login, address = "find out who logs in so often", "add its address to networks of a client"
	return []kind{
		{"Access denied; ask…", Reason{"no client entry matches this address", "if it may send, " + address}},
		{"Access denied, no login…", Reason{"a login is required, and this address cannot log in without TLS",
			"give the listener TLS, or add the network to plaintext_auth"}},
		{"Too many connections, try again later", Reason{"smtp.max_connections reached",
			"find out who keeps connections open, or raise smtp.max_connections"}},
		{"Too many connections of…", Reason{"too many connections of one user on unix sockets",
			"find out which program keeps them open, or raise smtp.max_connections"}},
		{"Too many connections, try…", Reason{"max_connections of the client reached",
			"let it close its connections, or raise max_connections of the client"}},
		{"Too many connections without…", Reason{"too many connections without a login",
			"find out what opens them, or " + address}},
		{"Must issue a STARTTLS…", Reason{"TLS is required, and the client does not start it",
			"turn on STARTTLS in the client"}},
		{"Authentication required", Reason{"a login is required, and the client does not log in",
			"give it a user name and a password, or " + address}},
		{"Encryption required…", Reason{"a login without TLS",
			"turn on STARTTLS in the client; if it has none, add its network to plaintext_auth"}},
		{"Authentication credentials…", Reason{"wrong user name or password",
			"correct them in the client, or set a new password_hash: graphrelay passwd"}},
		{"Authentication as one…", Reason{"a login as one user for another",
			"leave the field for another identity empty in the client"}},
		{"Too many failed logins, try…", Reason{"the login is locked for 15 minutes after ten wrong passwords",
			"correct the password in the client, and wait"}},
		{"Too many failed logins, closing…", Reason{"five wrong passwords on one connection",
			"correct the password in the client"}},
		{"Too many logins at once…", Reason{"too many logins at once", login}},
		{"The settings of this relay…", Reason{"a reload changed or removed the login",
			"if the next login fails, correct the password in the client"}},
	}
}

func kindsOfMessages() []kind {
	const set = "set it in the program that sends, or set repair: all"
	tooLarge := Reason{"larger than smtp.max_message_size",
		"send smaller mail, or set delivery.large_messages: upload, and raise smtp.max_message_size if it is set"}
	return []kind{
		{"From address…not allowed here…", notAllowed("From")},
		{"Sender address…not allowed here…", notAllowed("Sender")},
		{"…not allowed here; ask the administrator of this relay to add it to senders", notAllowed("sender")},
		{"…address has no domain…", Reason{"sender without a domain", set}},
		{"Message has no From…", Reason{"no From address", set}},
		{"Message has several From…", Reason{"several From addresses and no Sender", set}},
		{"Sending is not allowed…", Reason{"the client may not send", "please report it with the log line"}},
		{"Too many messages…", Reason{"rate of the client reached",
			"find out why it sends so much, or raise rate of the client"}},
		{"Recipient address needs…", Reason{"recipient without a domain",
			"use a full address in the client, or add it to aliases"}},
		{"Recipient address…not allowed for…", Reason{"recipient not allowed",
			"if the client may send there, add the address or *@domain to recipients of the client"}},
		{"Maximum limit of…", Reason{"more recipients than smtp.max_recipients",
			"none: a client sends the rest separately; raise the limit if it does not"}},
		{"No valid recipients", Reason{"no recipient was accepted", "see the refusals of the recipients"}},
		{"Message header names…", Reason{"the header names a recipient that the envelope does not",
			"correct the client, or set extra_recipients: trim"}},
		{"Field…no unambiguous address list…", Reason{"an address field can be read in more than one way",
			"put display names in quotes in the client, or set repair: all"}},
		{"Field…names more than one address", Reason{"several addresses in Sender", "correct the client"}},
		{"Max message size exceeded", tooLarge},
		{"Message size exceeds fixed…", tooLarge},
		{"Message size exceeds the…", Reason{"larger than delivery.mime_limit",
			"let the client send to fewer recipients at once, or raise delivery.mime_limit"}},
		{"Too many hops…", Reason{"a mail loop",
			"find the system that sends mail back here, such as a connector or a forwarding rule"}},
		{"Insufficient system…", Reason{"no room: the disk or the queue is full", "see graphrelay status"}},
		{"Mail system not able…", Reason{"the queue takes no messages", "see graphrelay status"}},
		{"Local error…", Reason{"a fault in graphrelay", "see error in the log, and report it"}},
		{"Internal error…", Reason{"a fault in graphrelay", "see error in the log, and report it"}},
		{"Timeout…", Reason{"the message did not end in time", "let the client end its lines with CRLF"}},
		{"This is SMTP…", Reason{"a browser or another HTTP client", "point it to the right port"}},
	}
}

func notAllowed(what string) Reason {
	return Reason{what + " not allowed", "correct the sender in the client, or add the address to senders, " +
		"and to senders of the client"}
}
