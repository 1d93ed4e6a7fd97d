package config

import "graphrelay/relay/envelope"

// Config is a whole, valid configuration. Treat it as read-only.
type Config struct {
	Hostname      Hostname                       `yaml:"hostname" unset:"the host's name" doc:"Name in the greeting and in Received fields."`
	Identities    []Identity                     `yaml:"identities" required:"true" doc:"Entra applications that mail is sent under; at least one."`
	Senders       []Sender                       `yaml:"senders" required:"true" doc:"Addresses that From may say; at least one."`
	Mailboxes     []Mailbox                      `yaml:"mailboxes" unset:"none" doc:"Mailboxes for which the defaults do not fit."`
	DefaultSender envelope.Address               `yaml:"default_sender" unset:"the first exact address of senders" doc:"Address that reports come from; one of senders."`
	Aliases       map[LocalPart]envelope.Address `yaml:"aliases" unset:"none" doc:"Recipients without a domain, such as root, and who gets their mail."`
	Clients       []Client                       `yaml:"clients" unset:"none" doc:"Who may send, besides this host; the first that matches a connection wins, and a login replaces it."`
	LocalClient   bool                           `yaml:"local_client" default:"true" doc:"Programs on this host, by loopback addresses and unix sockets, may send as every sender; they match after all clients."`
	SMTP          SMTP                           `yaml:"smtp" doc:"The SMTP server."`
	Queue         Queue                          `yaml:"queue" doc:"The store of accepted mail."`
	Delivery      Delivery                       `yaml:"delivery" doc:"How mail goes to Graph."`
	Reports       Reports                        `yaml:"reports" doc:"Who is told of mail that failed."`
	Audit         Audit                          `yaml:"audit" doc:"Whether the identities are still restricted is tried while the relay runs."`
	Admin         Admin                          `yaml:"admin" doc:"The socket that the commands talk to."`
	Alerts        *Alerts                        `yaml:"alerts" unset:"none" doc:"Who is told of holds, expiring credentials, a full disk, old mail and other faults."`
	Console       *Console                       `yaml:"console" unset:"none" doc:"The web console."`
	Metrics       *Metrics                       `yaml:"metrics" unset:"none" doc:"An address for Prometheus and for health probes."`
	Log           Log                            `yaml:"log" doc:"The log on standard error."`

	file   string
	places map[string]place
	boxes  map[string]int // place in Mailboxes by the Key of its address; asked for each message
}

// Sender is an address that From may say, or with Address.Wildcard those of a
// whole domain. Mailbox is always set; the wildcard itself stands for mailbox:
// self, by which each address is its own mailbox.
type Sender struct {
	Address envelope.Address `yaml:"address" required:"true" range:"address | *@domain" doc:"What From may say; *@domain is every address of this domain and none of its subdomains, and an exact entry wins over it."`
	Mailbox envelope.Address `yaml:"mailbox" unset:"the address itself; a wildcard needs it" range:"address | self" doc:"Mailbox whose sendMail is called; it must be allowed to send as the address."`
}

// Mailbox is a mailbox that mail goes out through. Config.Mailboxes has one
// for each mailbox that some sender uses, in the file or not; Identity is
// always the name of one of Config.Identities. An Address.Wildcard is each
// mailbox of its domain that has no entry of its own.
type Mailbox struct {
	Address       envelope.Address `yaml:"address" required:"true" range:"address | *@domain" doc:"The mailbox, as some sender names it; *@domain for a wildcard with mailbox: self."`
	Identity      Name             `yaml:"identity" unset:"the only identity" doc:"Name of the identity that sends for it; needed where there are several."`
	MaxConcurrent int              `yaml:"max_concurrent" default:"3" range:"1..4" doc:"Most messages in transfer at one time; Graph allows 4."`
	Rate          Rate             `yaml:"rate" unset:"none" doc:"Most messages in a time, as in 30/min; the others wait in the queue."`
}

// SMTP is the server's side.
type SMTP struct {
	Listeners       []Listener `yaml:"listeners" default:"[{address: 127.0.0.1:25}]" doc:"Where clients connect."`
	TLS             *TLS       `yaml:"tls" unset:"none" doc:"Certificate of the listeners; both files are needed."`
	MaxMessageSize  Size       `yaml:"max_message_size" default:"2100KiB" range:"1KiB..150MiB" doc:"Largest message taken, as EHLO announces it; at least 64KiB below delivery.mime_limit, for the header fields that the relay adds. With delivery.large_messages it may be larger, and its default is 35MiB."`
	MaxRecipients   int        `yaml:"max_recipients" default:"500" range:"1..1000" doc:"Most recipients of one message."`
	MaxConnections  int        `yaml:"max_connections" default:"200" range:"1..10000" doc:"Most connections at one time."`
	IdleTimeout     Duration   `yaml:"idle_timeout" default:"5m" range:"1s..1h" doc:"Longest wait between two reads from a client."`
	ExtraRecipients string     `yaml:"extra_recipients" default:"trim" range:"trim | reject" doc:"Header recipients that are not in the envelope: take them out, or refuse the message."`
	Received        string     `yaml:"received" default:"full" range:"full | short | off" doc:"Received field added to each message; short leaves out the client's address."`
}

// Queue is the store and how long it keeps what.
type Queue struct {
	Store        Store    `yaml:"store" default:"sqlite:/var/lib/graphrelay/queue.db" doc:"sqlite:PATH, on a local disk."`
	MaxAge       Duration `yaml:"max_age" default:"5d" range:"1s..365d" doc:"How long a message is tried before it is given up; time in hold does not count."`
	MaxHold      Duration `yaml:"max_hold" default:"30d" range:"1s..365d" doc:"How long a held message waits before it fails."`
	KeepFailed   Duration `yaml:"keep_failed" default:"30d" range:"1s..3650d" doc:"How long a failed message is kept."`
	MinFreeSpace Size     `yaml:"min_free_space" default:"256MiB" range:"0..1024GiB" doc:"Free disk space below which no mail is taken."`
	MaxMessages  int      `yaml:"max_messages" default:"1000000" range:"1..100000000" doc:"Waiting messages above which no mail is taken."`
	History      Duration `yaml:"history" default:"30d" range:"1s..3650d" doc:"How long it can be looked up what became of a message."`
}

// Delivery is Graph's side.
type Delivery struct {
	LargeMessages  string `yaml:"large_messages" default:"off" range:"off | upload" doc:"What is larger than mime_limit: not taken, or sent as a draft with upload sessions, which needs the permission Mail.ReadWrite and does not keep everything (large-mail.md)."`
	MIMELimit      Size   `yaml:"mime_limit" default:"2200KiB" range:"128KiB..3MiB" doc:"Largest message that Graph is given as MIME, after every change of the header."`
	UnknownOutcome string `yaml:"unknown_outcome" default:"retry" range:"retry | hold | lookup" doc:"A message that may have been sent or not (the connection broke): send it again, wait for a person, or look into the mailbox first, for which the app needs to read mail."`
}

// Reports are what the relay itself writes about mail that failed.
type Reports struct {
	ToSender     bool             `yaml:"to_sender" default:"true" doc:"Report failed mail to its reverse-path (MAIL FROM)."`
	Postmaster   envelope.Address `yaml:"postmaster" unset:"none" doc:"Who gets every report as well, and the warnings of delays."`
	DelayWarning Duration         `yaml:"delay_warning" default:"4h" range:"1m..365d" doc:"How long mail waits, holds not counted, before the postmaster alone is warned; one warning for each mailbox in this time."`
}

// Admin is the socket for the commands.
type Admin struct {
	Address ListenAddress `yaml:"address" default:"unix:/run/graphrelay/admin.sock" doc:"unix:/PATH."`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level" default:"info" range:"debug | info | warn | error" doc:"Least severity that is logged."`
	Format string `yaml:"format" default:"text" range:"text | json" doc:"Form of a log line."`
}

// Mailbox returns the settings of a mailbox; false if no sender uses it. An
// exact entry wins over a wildcard.
func (c *Config) Mailbox(a envelope.Address) (Mailbox, bool) {
	i, ok := c.boxes[a.Key()]
	if !ok {
		i, ok = c.boxes[domainKey(a)]
	}
	if !ok {
		return Mailbox{}, false
	}
	return c.Mailboxes[i], true
}

// Identity returns the identity with a name; false if there is none.
func (c *Config) Identity(name Name) (Identity, bool) {
	for _, id := range c.Identities {
		if id.Name == name {
			return id, true
		}
	}
	return Identity{}, false
}

// MailboxOf returns the mailbox through which a sender's mail goes; zero if a
// is no sender.
func (c *Config) MailboxOf(a envelope.Address) envelope.Address {
	var found envelope.Address
	for _, s := range c.Senders {
		box := s.Mailbox
		if box.Wildcard() {
			box = a
		}
		if s.Address.Equal(a) {
			return box
		}
		if s.Address.Covers(a) {
			found = box
		}
	}
	return found
}
