package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Lookalikes are the names of what lies in a mailbox beside NDRs about its mail and
// must not be taken for one: replies, receipts, NDRs about mail of others.
func Lookalikes() []string { return slices.Sorted(maps.Keys(lookalikes)) }

var lookalikes = map[string]func(a Bounced) string{
	"reply": func(a Bounced) string {
		return a.mail("Return-Path: <"+a.To[0]+">\nIn-Reply-To: "+a.MessageID+"\n", "text/plain", "Thank you.\n")
	},
	"out-of-office": func(a Bounced) string {
		return a.mail("Return-Path: <>\nAuto-Submitted: auto-replied\nX-Auto-Response-Suppress: All\nIn-Reply-To: "+
			a.MessageID+"\n", "text/plain", "I am away.\nMessage-ID: "+a.MessageID+"\n")
	},
	"receipt": func(a Bounced) string {
		return a.mail("Return-Path: <>\nAuto-Submitted: auto-replied\nIn-Reply-To: "+a.MessageID+"\n",
			"multipart/report; report-type=disposition-notification; boundary=b",
			"--b\nContent-Type: text/plain\n\nRead.\n"+
				"--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822;"+a.To[0]+
				"\nOriginal-Message-ID: "+a.MessageID+"\n"+
				"Disposition: manual-action/MDN-sent-manually;displayed\n\n--b--\n")
	},
	"forwarded-ndr": func(a Bounced) string {
		ndr := shapes["exchange"]
		return a.mail("Return-Path: <"+a.To[0]+">\n", "multipart/mixed; boundary=f", "--f\n"+
			"Content-Type: message/rfc822\n\n"+
			ndr.top(a)+ndr.body(a)+"--f--\n")
	},
	"sent-ndr": func(a Bounced) string { // forged: somebody has sent it
		ndr := shapes["exchange"]
		return strings.Replace(ndr.top(a)+ndr.body(a), "Return-Path: <>", "Return-Path: <mallory@evil.example>", 1)
	},
	"ndr-of-other-mail": func(a Bounced) string {
		return other(a, "<written-in-outlook-"+newID()+"@contoso.example>")
	},
	"ndr-of-other-relay": func(a Bounced) string {
		id := "<1@scanner.example>"
		o := a
		o.Header = strings.Replace(a.Header, a.MessageID, id, 1)
		o.Header = strings.ReplaceAll(o.Header, "X-Graphrelay-ID: ", "X-Graphrelay-ID: ffffffff") // of another key
		o.MessageID = id
		ndr := shapes["exchange"]
		return ndr.top(o) + ndr.body(o)
	},
	"delivered": func(a Bounced) string {
		ndr := shape{action: "relayed", code: "2.0.0", without: []string{"ndr"}}
		return ndr.top(a) + ndr.body(a)
	},
	"newsletter": func(a Bounced) string {
		return a.mail("Return-Path: <news@example.com>\nPrecedence: bulk\n", "text/html",
			"<p>Undeliverable: nothing</p>\n")
	},
	"bomb": func(a Bounced) string {
		text := a.mail("Return-Path: <>\nAuto-Submitted: auto-replied\n",
			"multipart/report; report-type=delivery-status; boundary=x0", "")
		for i := range 300 {
			text += fmt.Sprintf("--x%d\nContent-Type: multipart/mixed; boundary=x%d\n\n", i, i+1)
		}
		return text
	},
}

// other is an NDR about mail of somebody else who uses the mailbox.
func other(a Bounced, id string) string {
	o := a
	o.MessageID = id
	o.Header = "From: " + a.Mailbox + "\nTo: " + a.To[0] + "\nMessage-ID: " + id + "\nSubject: lunch\n"
	ndr := shapes["exchange"]
	return ndr.top(o) + ndr.body(o)
}

// mail is a message to the mailbox.
func (a Bounced) mail(fields, kind, body string) string {
	return fmt.Sprintf("%sFrom: <%s>\nTo: <%s>\nDate: %s\nMessage-ID: <mail-%s@example.net>\n"+
		"Subject: Undeliverable: x\nMIME-Version: 1.0\nContent-Type: %s\n\n%s", fields, a.To[0], a.Mailbox,
		a.At.Format(time.RFC1123Z), newID(), kind, body)
}
