package intake

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
)

// ReceivedForm is smtp.received: what the trace field of RFC 5321 section 4.4
// says about the client.
type ReceivedForm int

// The forms.
const (
	ReceivedFull  ReceivedForm = iota // helo name and address of the client, or its user on this host
	ReceivedShort                     // neither
	ReceivedOff                       // no field at all
)

// field returns the whole Received field with its CRLF, or "".
func (f ReceivedForm) field(hostname string, from smtpd.MailFrom, peer smtpd.Peer, m *spool.Message) string {
	if f == ReceivedOff {
		return ""
	}
	var b strings.Builder
	b.WriteString("Received: ")
	if f == ReceivedFull {
		fmt.Fprintf(&b, "from %s (%s)\r\n\t", heloAtom(from.Helo), origin(peer))
	}
	fmt.Fprintf(&b, "by %s (graphrelay) with %s id %s;\r\n\t%s\r\n",
		hostname, protocol(from, m.Client.Login != ""), m.ID, m.Accepted.Format(time.RFC1123Z))
	return b.String()
}

// protocol names the transmission type as RFC 3848 and RFC 6531 do.
func protocol(from smtpd.MailFrom, login bool) string {
	p := "SMTP"
	if from.ESMTP {
		p = "ESMTP"
	}
	if from.TLS && from.ESMTP {
		p += "S"
	}
	if login && from.ESMTP { // RFC 3848 names no SMTPA
		p += "A"
	}
	if from.UTF8 {
		p = "UTF8" + strings.TrimPrefix(p, "E")
	}
	return p
}

// heloAtom reduces a HELO argument to characters that are safe in a header
// field: a client must not be able to write comments or fields of its own.
func heloAtom(helo string) string {
	clean := strings.Map(func(r rune) rune {
		const safe = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:[]"
		if strings.ContainsRune(safe, r) {
			return r
		}
		return -1
	}, helo)
	return cmp.Or(cut(clean, 255), "unknown")
}

// origin is the address literal of the client, or its user on this host.
func origin(p smtpd.Peer) string {
	switch {
	case !p.Addr.IsValid() && p.User != "":
		return "local socket, user " + p.User
	case !p.Addr.IsValid():
		return "local socket"
	}
	return p.Literal()
}
