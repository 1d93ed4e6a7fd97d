package config

import (
	"graphrelay/config/strict"
	"graphrelay/relay/envelope"
)

// Config is a whole, valid configuration. Treat it as read-only.
type Config struct {
	Hostname      Hostname                       `yaml:"hostname" unset:"the host's name"`
	Identities    []Identity                     `yaml:"identities" required:"true"`
	Senders       []Sender                       `yaml:"senders" required:"true"`
	Mailboxes     []Mailbox                      `yaml:"mailboxes" unset:"none"`
	DefaultSender envelope.Address               `yaml:"default_sender" unset:"the first exact address of senders"`
	Aliases       map[LocalPart]envelope.Address `yaml:"aliases" unset:"none"`
	Clients       []Client                       `yaml:"clients" unset:"none"`
	LocalClient   bool                           `yaml:"local_client" default:"true"`
	SMTP          SMTP                           `yaml:"smtp"`
	Queue         Queue                          `yaml:"queue"`
	Delivery      Delivery                       `yaml:"delivery"`
	Reports       Reports                        `yaml:"reports"`
	Audit         Audit                          `yaml:"audit"`
	Admin         Admin                          `yaml:"admin"`
	Alerts        Alerts                         `yaml:"alerts"`
	Console       *Console                       `yaml:"console" unset:"none"`
	Metrics       *Metrics                       `yaml:"metrics" unset:"none"`
	Log           Log                            `yaml:"log"`

	places *strict.Places
	boxes  map[string]int // place in Mailboxes by the Key of its address; asked for each message
}

// Sender is an address that From may say, or with Address.Wildcard those of a
// whole domain. Mailbox is always set; the wildcard itself means mailbox:
// self, by which each address is its own mailbox.
type Sender struct {
	Address envelope.Address `yaml:"address" required:"true" range:"address | *@domain"`
	Mailbox envelope.Address `yaml:"mailbox" unset:"the address itself; required for a wildcard" range:"address | self"`
}

// Mailbox is a mailbox that mail is sent through. Config.Mailboxes has one
// for each mailbox that some sender uses, in the file or not; Identity is
// always the name of one of Config.Identities. An Address.Wildcard is each
// mailbox of its domain that has no entry of its own.
type Mailbox struct {
	Address       envelope.Address `yaml:"address" required:"true" range:"address | *@domain"`
	Identity      Name             `yaml:"identity" unset:"the only identity"`
	MaxConcurrent int              `yaml:"max_concurrent" default:"3" range:"1..4"`
	Rate          Rate             `yaml:"rate" unset:"none"`
}

// SMTP is the server's side.
type SMTP struct {
	Listeners       []Listener      `yaml:"listeners" default:"[{address: 127.0.0.1:25}]"`
	TLS             *TLS            `yaml:"tls" unset:"none"`
	MaxMessageSize  strict.Size     `yaml:"max_message_size" default:"2100KiB" range:"1KiB..150MiB"`
	MaxRecipients   int             `yaml:"max_recipients" default:"500" range:"1..1000"`
	MaxConnections  int             `yaml:"max_connections" default:"200" range:"1..10000"`
	IdleTimeout     strict.Duration `yaml:"idle_timeout" default:"5m" range:"1s..1h"`
	ExtraRecipients string          `yaml:"extra_recipients" default:"trim" range:"trim | reject"`
	Received        string          `yaml:"received" default:"full" range:"full | short | off"`
}

// Queue is the store, and how long it keeps messages.
type Queue struct {
	Store        Store           `yaml:"store" default:"sqlite:/var/lib/graphrelay/queue.db"`
	StoreURLFile Path            `yaml:"store_url_file" unset:"none"`
	MaxAge       strict.Duration `yaml:"max_age" default:"5d" range:"1s..365d"`
	MaxHold      strict.Duration `yaml:"max_hold" default:"30d" range:"1s..365d"`
	KeepFailed   strict.Duration `yaml:"keep_failed" default:"30d" range:"1s..3650d"`
	MinFreeSpace strict.Size     `yaml:"min_free_space" default:"256MiB" range:"0..1024GiB"`
	MaxMessages  int             `yaml:"max_messages" default:"1000000" range:"1..100000000"`
	History      strict.Duration `yaml:"history" default:"30d" range:"1s..3650d"`
}

func (q *Queue) Check(s strict.Scope) {
	s.FailIf(s.Given("store") && s.Given("store_url_file"), "store_url_file", "cannot be combined with store",
		"write store for a file of this host, or store_url_file for a PostgreSQL database")
}

// Delivery is Graph's side.
type Delivery struct {
	LargeMessages  string      `yaml:"large_messages" default:"off" range:"off | upload | smtp"`
	MIMELimit      strict.Size `yaml:"mime_limit" default:"2200KiB" range:"128KiB..3MiB"`
	UnknownOutcome string      `yaml:"unknown_outcome" default:"retry" range:"retry | hold | lookup"`
	TrackBounces   string      `yaml:"track_bounces" default:"off" range:"off | header | full"`
	IDHeader       bool        `yaml:"id_header" default:"true"`
}

// Reports are the relay's own messages about mail that failed.
type Reports struct {
	ToSender     bool             `yaml:"to_sender" default:"true"`
	Postmaster   envelope.Address `yaml:"postmaster" unset:"none"`
	DelayWarning strict.Duration  `yaml:"delay_warning" default:"4h" range:"1m..365d"`
}

// Admin is the socket for the commands.
type Admin struct {
	Address ListenAddress `yaml:"address" default:"unix:/run/graphrelay/admin.sock"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level" default:"info" range:"debug | info | warn | error"`
	Format string `yaml:"format" default:"text" range:"text | json"`
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

// MailboxOf returns the mailbox through which a sender's mail goes; zero if a is not a sender.
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
