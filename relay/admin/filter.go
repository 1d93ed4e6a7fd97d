package admin

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// maxList bounds one page of the queue list.
const maxList = 1000

// values writes a filter as the query of a request.
func values(f spool.Filter) url.Values {
	q := url.Values{
		"mailbox": {f.Mailbox.String()}, "client": {f.Client}, "sender": {f.Sender.String()},
		"reverse_path": {f.ReversePath.String()}, "recipient": {f.Recipient.String()},
		"message_id": {f.MessageID}, "subject": {f.Subject}, "find": {f.Find}, "part": {f.Part},
		"recipient_part": {f.RecipientPart}, "sender_part": {f.SenderPart}, "after": {string(f.After)},
	}
	maps.DeleteFunc(q, func(_ string, value []string) bool { return value[0] == "" })
	for _, s := range f.States {
		q.Add("state", string(s))
	}
	if f.ClientIP.IsValid() {
		q.Set("client_ip", f.ClientIP.String())
	}
	setTimes(q, f.Since, f.Until)
	for name, set := range map[string]bool{"newest": f.Newest, "undelivered": f.Undelivered} {
		if set {
			q.Set(name, "true")
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// setTimes writes the time between two moments; zero is no bound.
func setTimes(q url.Values, since, until time.Time) {
	for name, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
}

// filterOf reads what values wrote. An unknown name is an error: a filter that
// is not understood must not select everything.
func filterOf(q url.Values) (f spool.Filter, err error) {
	for name, list := range q {
		for _, value := range list {
			if err := read(&f, name, value); err != nil {
				return f, fmt.Errorf("%s=%s: %w", name, value, err)
			}
		}
	}
	return f, nil
}

func read(f *spool.Filter, name, value string) (err error) {
	switch name {
	case "state":
		var states []spool.State
		states, err = spool.ParseStates(value)
		f.States = append(f.States, states...)
	case "mailbox":
		f.Mailbox, err = envelope.ParseAddress(value)
	case "client":
		f.Client = value
	case "client_ip":
		f.ClientIP, err = netip.ParseAddr(value)
	case "sender":
		f.Sender, err = envelope.ParseRecipient(value)
	case "reverse_path":
		f.ReversePath, err = envelope.ParseRecipient(value)
	case "recipient":
		f.Recipient, err = envelope.ParseRecipient(value)
	case "message_id":
		f.MessageID = value
	case "subject":
		f.Subject = value
	case "find":
		f.Find = value
	case "part":
		f.Part = value
	case "recipient_part":
		f.RecipientPart = value
	case "sender_part":
		f.SenderPart = value
	case "since":
		f.Since, err = time.Parse(time.RFC3339Nano, value)
	case "until":
		f.Until, err = time.Parse(time.RFC3339Nano, value)
	case "undelivered":
		f.Undelivered, err = strconv.ParseBool(value)
	case "newest":
		f.Newest, err = strconv.ParseBool(value)
	case "after":
		f.After, err = envelope.ParseQueueID(value)
	case "limit":
		f.Limit, err = strconv.Atoi(value)
		if err != nil || f.Limit < 1 || f.Limit > maxList {
			err = errors.New("limit must be a number from 1 to " + strconv.Itoa(maxList))
		}
	default:
		err = errors.New("there is no such filter")
	}
	return err
}
