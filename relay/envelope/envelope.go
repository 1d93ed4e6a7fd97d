// Package envelope holds the words of a mail transaction: addresses, the
// envelope itself, the client that speaks, and the queue ID.
//
// An Address that exists is valid: the only way to get one is to parse it by
// the strict rules of RFC 5321 section 4.1.2 (RFC 6531 for non-ASCII), with no
// control characters, and with its domain in canonical form (lower-case
// A-labels, RFC 5891). Every other package relies on this and parses nothing
// again. The package does no I/O and must not know SMTP replies.
package envelope

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Envelope is the reverse-path and the recipients of a message, whatever its
// header says.
type Envelope struct {
	ReversePath Address   // zero is the null reverse-path <>
	Recipients  []Address // in the order of RCPT, without repetitions; every one has a domain
	Unreported  []Address // those of them about whom the sender wants no report (NOTIFY=NEVER)
	UTF8        bool      // MAIL carried SMTPUTF8
}

// Client is the program or host that a message comes from.
type Client struct {
	Name  string         // of the clients: entry that matched, or "local"
	Addr  netip.AddrPort // unmapped; zero on a unix socket
	Helo  string         // as given, printable ASCII only
	Login string         // empty without AUTH
	User  string         // decimal ID of the user at the other end of a unix socket; empty if unknown
}

// String names the client for logs: its address, or "unix".
func (c Client) String() string {
	if !c.Addr.IsValid() {
		return "unix"
	}
	return c.Addr.Addr().String()
}

// Own reports whether the client is the service itself, with a test mail. Only root
// of this host could have the address, too.
func (c Client) Own() bool { return c.Helo == "console" && c.Addr == OwnAddr() }

// OwnAddr is the address that the service itself sends from.
func OwnAddr() netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1) }

// NetworkOf returns what one peer has to itself: its address, or its /64 network
// of IPv6. It is zero for the zero Addr, which a unix socket has.
func NetworkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// QueueID names one message for as long as anything is known about it: 16
// characters of Crockford-like lower-case base32, ordered by time of creation
// to the millisecond, unguessable in the rest.
type QueueID string

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewQueueID makes a QueueID for a message accepted at now.
func NewQueueID(now time.Time) QueueID {
	var b [10]byte
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint64(b[:8], ms<<16) // 48 bits of time
	_, _ = rand.Read(b[6:])                   // never fails since Go 1.24
	return QueueID(idEncoding.EncodeToString(b[:]))
}

// FirstQueueID sorts before every QueueID made at t or later, and after all made
// before t.
func FirstQueueID(t time.Time) QueueID {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], uint64(max(t.UnixMilli(), 0))<<16)
	return QueueID(idEncoding.EncodeToString(b[:]))
}

// ParseQueueID checks that s has the form of a QueueID.
func ParseQueueID(s string) (QueueID, error) {
	b, err := idEncoding.DecodeString(s)
	if err != nil || len(s) != 16 || len(b) != 10 {
		return "", errors.New("a queue ID has 16 characters of 0-9 and a-z without i, l, o, u")
	}
	return QueueID(s), nil
}
