package policy

import (
	"graphrelay/relay/envelope"
)

// Rules are the configuration that policy decides by.
type Rules struct {
	Senders       []Sender
	DefaultSender envelope.Address // whose mailbox sends reports, and mail with a null reverse-path and no grantable From is refused all the same
	LocalClient   bool             // loopback and unix sockets may send as every sender
}

// Sender is one entry of senders:.
type Sender struct {
	Address envelope.Address // what From may say
	Mailbox envelope.Address // whose sendMail is called
}

// Message is what policy looks at of a message.
type Message struct {
	ReversePath  envelope.Address // zero for <>
	From         []envelope.Address
	Sender       envelope.Address // zero if there is none
	ResentFrom   []envelope.Address
	ResentSender []envelope.Address
}

// Grant allows a message: it goes out through Mailbox as From.
type Grant struct {
	Mailbox envelope.Address
	From    envelope.Address
}

// To be implemented beside this file:
//
//	func New(r Rules) *Policy
//	func (p *Policy) Client(addr netip.AddrPort, unix bool) (Client, error)         // at connect; 554 5.7.1
//	func (p *Policy) ReversePath(c Client, rp envelope.Address) error                // at MAIL; 550 5.7.1
//	func (p *Policy) Grant(c Client, m Message) (Grant, error)                       // after the header; 550 5.7.1
