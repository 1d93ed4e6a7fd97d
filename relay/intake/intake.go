// Package intake takes a mail transaction from the SMTP server to the spool:
// policy says who may send as whom, message makes the header say exactly what
// the envelope says, spool keeps the result. It is the only place that sees
// SMTP and the spool together.
//
// # Promises
//
// Data returns a queue ID only after the spool's commit returned, so that 250
// means durable. What is stored has passed policy: where policy demands a
// rewrite, the rewritten header is judged again. Every refusal is a
// *reply.Error and one log line, "refused", that names the client and ends
// with a remedy if there is one; of a flood of the same kind from one client it
// logs the first lines and a count. What cannot be kept now (a full disk, an
// unhealthy spool) is refused with 4xx, before the body if that can be known.
//
// # Logins
//
// A password is checked against a bcrypt hash, one at a time for the whole
// service, so that guessing takes no processor from other work; the places that wait
// take turns. The last correct one of each user is remembered for five minutes. An
// unknown user takes as long. Ten failures of one user name from one address lock
// this pair for a quarter of an hour, but no other user and no other address; 30
// different wrong passwords from a /64 network of IPv6 lock the network, but not for
// the password that is remembered.
package intake

import (
	"log/slog"
	"sync/atomic"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/loglimit"
	"graphrelay/relay/message"
	"graphrelay/relay/policy"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// Config is what an Intake works with. Every field but Reserve is required. Notify,
// OnEvent and OnRefusal must not block, and are called by many goroutines at once.
type Config struct {
	Rules
	Store   spool.Intake
	Notify  func(m spool.Message) // called after each commit of a message to be claimed
	OnEvent func(Event)           // for metrics

	// Reserve is asked before each commit. If it returns a function, the message's first
	// attempt, begun at a time, is recorded in the commit; the function is called once, in place
	// of Notify, with what became of it.
	Reserve func(m spool.Message, at time.Time) (end func(committed bool))

	// OnRefusal gets each refusal, also those that smtpd decided, without Hour and
	// Domain, and the domains of the recipients that it concerns: at least one, "" for none.
	OnRefusal func(k spool.RefusalKey, domains []string)

	Now func() time.Time
	Log *slog.Logger
}

// Event is one message accepted or one refusal, for metrics. A connection that
// died is neither.
type Event struct {
	At      string // connect, auth, mail, rcpt or data
	Client  envelope.Client
	Refusal *reply.Error // nil: accepted

	Mailbox    envelope.Address // of an accepted message, as are the others
	Recipients int
	To         []envelope.Address // them
	Size       int64              // bytes
	Repairs    []string           // names of what was repaired, each once
}

// Rules are what a reload may change; see SetRules.
type Rules struct {
	Policy   *policy.Policy
	Hostname string // in Received and in Message-ID
	Received ReceivedForm
	Extra    message.ExtraRecipients
	IDHeader bool // X-Graphrelay-ID, by which a bounce finds its message
	// MaxOfUser is how many connections one user of the system may have on unix
	// sockets as a client without a limit of its own; 0 = any number.
	MaxOfUser int
	// MaxSize limits the bytes of a message after every edit: delivery.mime_limit,
	// or more with large_messages: upload.
	MaxSize int64
}

// Intake implements smtpd.Handler.
type Intake struct {
	Config // without Rules, which are in rules
	rules  atomic.Pointer[Rules]
	key    bounce.Key
	logins *logins
	limits *limits
	quiet  *loglimit.Limiter
}

// logLines is how many refusals of one kind and client are logged one by one
// within ten seconds.
const logLines = 5

// New returns an Intake.
func New(c Config) *Intake {
	in := &Intake{Config: c, logins: newLogins(c.Now), limits: newLimits(), quiet: loglimit.New(c.Log, logLines)}
	in.key = c.Store.Key()
	in.Config.Rules = Rules{}
	in.SetRules(c.Rules)
	return in
}

// SetRules changes the rules. A transaction in progress keeps those it began
// with; an open connection obeys the new ones from its next MAIL or AUTH.
func (in *Intake) SetRules(r Rules) { in.rules.Store(&r) }

// Flush logs the counts that are due; call it when SMTP has stopped.
func (in *Intake) Flush() { in.quiet.Flush() }

// The replies of this package; policy and message have their own.
var (
	errFull        = reply.New(452, reply.Enhanced{4, 3, 1}, "Insufficient system storage, try again later")
	errUnhealthy   = reply.New(451, reply.Enhanced{4, 3, 0}, "Mail system not able to store mail, try again later")
	errNoRcpt      = reply.New(554, reply.Enhanced{5, 5, 1}, "No valid recipients")
	errTooBig      = reply.New(552, reply.Enhanced{5, 3, 4}, "Message size exceeds the limit of this relay")
	errCredentials = reply.New(535, reply.Enhanced{5, 7, 8}, "Authentication credentials invalid")
	errLocked      = reply.New(454, reply.Enhanced{4, 7, 0}, "Too many failed logins, try again later")
	errBusy        = reply.New(454, reply.Enhanced{4, 7, 0}, "Too many logins at once, try again later")
	errChanged     = reply.New(421, reply.Enhanced{4, 7, 0}, "The settings of this relay have changed, connect again")
	errUser        = reply.New(421, reply.Enhanced{4, 7, 0},
		"Too many connections of this user, try again later")
	errRewrite = reply.New(550, reply.Enhanced{5, 6, 0},
		"From, Sender and Reply-To of this message cannot be rewritten safely")
)
