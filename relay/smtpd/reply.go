package smtpd

import (
	"bytes"
	"slices"

	"github.com/emersion/go-smtp"

	"graphrelay/relay/reply"
	"graphrelay/relay/smtpd/wire"
)

// The replies that this package gives itself.
var (
	errStopping        = reply.New(421, reply.Enhanced{4, 3, 2}, "Service is shutting down, try again later")
	errUnavailable     = reply.New(421, reply.Enhanced{4, 3, 2}, "Service is not available, try again later")
	errManyConnections = reply.New(421, reply.Enhanced{4, 7, 0}, "Too many connections, try again later")
	errManyGuests      = reply.New(421, reply.Enhanced{4, 7, 0},
		"Too many connections without a login, try again later")
	errManyLogins = reply.New(421, reply.Enhanced{4, 7, 0}, "Too many failed logins, closing connection")
	errNoLogin    = reply.New(554, reply.Enhanced{5, 7, 1},
		"Access denied, no login is possible from your address")
	errIdle         = reply.New(421, reply.Enhanced{4, 4, 2}, "Timeout, closing connection")
	errManyErrors   = reply.New(421, reply.Enhanced{4, 7, 0}, "Too many errors, closing connection")
	errManyCommands = reply.New(421, reply.Enhanced{4, 7, 0},
		"Too many commands without a message, closing connection")
	errNotSMTP        = reply.New(421, reply.Enhanced{4, 7, 0}, "This is SMTP, closing connection")
	errPanic          = reply.New(421, reply.Enhanced{4, 3, 0}, "Internal error, closing connection")
	errFlood          = reply.New(500, reply.Enhanced{5, 5, 2}, "Line too long, closing connection")
	errLongLine       = reply.New(500, reply.Enhanced{5, 5, 2}, "Line too long")
	errCharacters     = reply.New(500, reply.Enhanced{5, 5, 2}, "Control characters in command")
	errUnknown        = reply.New(500, reply.Enhanced{5, 5, 2}, "Command not recognized")
	errNotImplemented = reply.New(502, reply.Enhanced{5, 5, 1}, "Command not implemented")
	errChunkSize      = reply.New(501, reply.Enhanced{5, 5, 4}, "Chunk size not understood, closing connection")
	errInChunks       = reply.New(503, reply.Enhanced{5, 5, 1}, "Message transfer with BDAT is under way")
	errNestedMail     = reply.New(503, reply.Enhanced{5, 5, 1}, "Sender already given")
	errSequence       = reply.New(503, reply.Enhanced{5, 5, 1}, "Bad sequence of commands")
	errSecure         = reply.New(503, reply.Enhanced{5, 5, 1}, "TLS is active already")
	errInTransaction  = reply.New(503, reply.Enhanced{5, 5, 1}, "Not within a mail transaction")
	errNoArgument     = reply.New(501, reply.Enhanced{5, 5, 4}, "No argument allowed")
	errNeedsTLS       = reply.New(530, reply.Enhanced{5, 7, 0}, "Must issue a STARTTLS command first")
	errNeedsAuth      = reply.New(530, reply.Enhanced{5, 7, 0}, "Authentication required")
	errAuthNeedsTLS   = reply.New(538, reply.Enhanced{5, 7, 11}, "Encryption required for authentication")
	errAuthenticated  = reply.New(503, reply.Enhanced{5, 5, 1}, "Already authenticated")
	errNoMechanism    = reply.New(501, reply.Enhanced{5, 5, 4}, "Authentication mechanism missing")
	errMechanism      = reply.New(504, reply.Enhanced{5, 5, 4}, "Authentication mechanism not supported")
	errCancelled      = reply.New(501, reply.Enhanced{5, 7, 0}, "Authentication cancelled")
	errEncoding       = reply.New(501, reply.Enhanced{5, 5, 2}, "Authentication response not understood")
	errActingFor      = reply.New(535, reply.Enhanced{5, 7, 8},
		"Authentication as one user for another is not possible")
	errParameter    = reply.New(555, reply.Enhanced{5, 5, 4}, "Parameter not recognized or not implemented")
	errGlued        = reply.New(501, reply.Enhanced{5, 5, 4}, "Blank missing between address and parameters")
	errNotify       = reply.New(501, reply.Enhanced{5, 5, 4}, "Malformed DSN parameter")
	errBadSender    = reply.New(501, reply.Enhanced{5, 1, 7}, "Bad sender address syntax")
	errBadRecipient = reply.New(501, reply.Enhanced{5, 1, 3}, "Bad recipient address syntax")
	errNeedsUTF8    = reply.New(553, reply.Enhanced{5, 6, 7}, "Non-ASCII address needs SMTPUTF8")
	errUnread       = reply.New(451, reply.Enhanced{4, 3, 0}, "Local error in processing, try again later")
	errTooLarge     = reply.New(552, reply.Enhanced{5, 3, 4}, "Message size exceeds fixed limit")
)

// forLibrary makes the one error type from which go-smtp takes the reply. It does
// not look into wrapped errors, so they are unwrapped here.
func forLibrary(err error) error {
	if err == nil {
		return nil
	}
	e := reply.Of(err)
	return &smtp.SMTPError{Code: e.Code, EnhancedCode: smtp.EnhancedCode(e.Enhanced), Message: wire.OneLine(e.Text)}
}

// appendPolished appends go-smtp's reply to a command, with the codes that the RFCs
// ask for and without repeating what the client sent.
func appendPolished(b []byte, verb, hostname string, reply []byte) []byte {
	switch code := wire.ReplyCode(reply); {
	case code == 250 && verb == "MAIL":
		return append(b, "250 2.1.0 Sender ok\r\n"...)
	case code == 250 && verb == "RCPT":
		return append(b, "250 2.1.5 Recipient ok\r\n"...)
	case code == 250 && verb == "HELO":
		return append(append(append(b, "250 "...), hostname...), '\r', '\n')
	case code == 250 && verb == "EHLO":
		_, capabilities, _ := bytes.Cut(reply, []byte("\r\n"))
		b = append(append(append(b, "250-"...), hostname...), '\r', '\n')
		return append(b, capabilities...)
	case code == 502 && verb != "":
		return wire.AppendReply(b, errSequence)
	case (code == 500 || code == 504) && (verb == "MAIL" || verb == "RCPT"):
		return wire.AppendReply(b, errParameter)
	}
	return append(b, reply...)
}

// appendCapabilities puts what conn itself offers behind the first line of the
// library's reply to EHLO, which begins at start.
func (c *conn) appendCapabilities(out []byte, start int) []byte {
	var lines string
	if mode := c.loop.options.TLS; !c.secure && (mode == TLSOptional || mode == TLSRequired) {
		lines += "250-STARTTLS\r\n"
	}
	if c.offersAuth() {
		lines += "250-AUTH PLAIN LOGIN\r\n"
		if c.loop.options.LegacyAuthLine {
			lines += "250-AUTH=LOGIN PLAIN\r\n"
		}
	}
	first := bytes.Index(out[start:], []byte("\r\n"))
	if lines == "" || !bytes.HasPrefix(out[start:], []byte("250-")) || first < 0 {
		return out
	}
	return slices.Insert(out, start+first+2, []byte(lines)...)
}
