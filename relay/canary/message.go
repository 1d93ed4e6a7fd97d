package canary

import (
	"fmt"
	"strings"
	"time"

	"graphrelay/relay/bounce"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// Client is whose message a canary is.
const Client = "canary"

const subject = "graphrelay canary: nothing to do"

const header = "From: <%s>\n" +
	"To: <%s>\n" +
	"Subject: " + subject + "\n" +
	"Date: %s\n" +
	"Message-ID: %s\n" +
	bounce.IDField + ": %s\n" +
	"Auto-Submitted: auto-generated\n" +
	"X-Auto-Response-Suppress: All\n" +
	"MIME-Version: 1.0\n" +
	"Content-Type: text/plain; charset=utf-8\n" +
	"\n"

const body = "The mail relay graphrelay on %s sends this message to itself once a day and\n" +
	"checks that it arrives in this mailbox (audit.canary in its configuration).\n" +
	"\n" +
	"Nobody needs to read or answer it. It can be deleted at any time after an\n" +
	"hour; the relay may only read the mailbox, so it deletes nothing itself.\n"

// message writes a canary.
func message(s Settings, id envelope.QueueID, messageID string, key bounce.Key, now time.Time) (spool.Message, []byte) {
	lines := strings.NewReplacer("\n", "\r\n")
	head := lines.Replace(fmt.Sprintf(header, s.From, s.To, now.Format("Mon, 02 Jan 2006 15:04:05 -0700"), messageID,
		key.ID(id)))
	return spool.Message{
		ID: id, Envelope: envelope.Envelope{Recipients: []envelope.Address{s.To}},
		Client: envelope.Client{Name: Client}, Mailbox: s.Mailbox, From: s.From, ConfiguredFrom: true,
		MessageID: messageID, Subject: subject, HeaderSize: int64(len(head)), Accepted: now, Automatic: true,
	}, []byte(head + lines.Replace(fmt.Sprintf(body, s.Hostname)))
}
