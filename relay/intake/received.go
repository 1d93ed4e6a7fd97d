package intake

import (
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/spool"
)

// ReceivedForm is smtp.received: what the trace field of RFC 5321 section 4.4
// tells about the client.
type ReceivedForm int

// The forms.
const (
	ReceivedFull  ReceivedForm = iota // helo name and address of the client
	ReceivedShort                     // neither
	ReceivedOff                       // no field at all
)

// field returns the whole Received field with its CRLF, or "".
func (f ReceivedForm) field(hostname string, from smtpd.MailFrom, m *spool.Message) string {
	if f == ReceivedOff {
		return ""
	}
	var b strings.Builder
	b.WriteString("Received: ")
	if f == ReceivedFull {
		fmt.Fprintf(&b, "from %s (%s)\r\n\t", heloAtom(from.Helo), addressLiteral(m.Client))
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

// heloAtom keeps of a HELO argument what may stand in a header field: a client
// must not be able to write comments or fields of its own.
func heloAtom(helo string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-_:[]", r) {
			return r
		}
		return -1
	}, helo)
	if clean == "" {
		return "unknown"
	}
	return cut(clean, 255)
}

func addressLiteral(c envelope.Client) string {
	switch {
	case !c.Addr.IsValid():
		return "local socket"
	case c.Addr.Addr().Is6():
		return "[IPv6:" + c.Addr.Addr().WithZone("").String() + "]"
	default:
		return "[" + c.Addr.Addr().String() + "]"
	}
}
