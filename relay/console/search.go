package console

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// filtersOf makes filters of what was typed and chosen; a message matches if one of
// them selects it. The query is a Message-ID, an address (of a sender or a
// recipient), an IP address, or the name of a client.
func filtersOf(query, state, mailbox, after string) ([]spool.Filter, error) {
	f := spool.Filter{Newest: true}
	var err error
	if state != "" {
		if f.States, err = spool.ParseStates(state); err != nil {
			return nil, errors.New("there is no such state")
		}
	}
	if mailbox != "" {
		if f.Mailbox, err = envelope.ParseAddress(mailbox); err != nil {
			return nil, err
		}
	}
	if after != "" {
		if f.After, err = envelope.ParseQueueID(after); err != nil {
			return nil, err
		}
	}
	return alternatives(f, query), nil
}

func alternatives(f spool.Filter, query string) []spool.Filter {
	if ip, err := netip.ParseAddr(query); err == nil {
		f.ClientIP = ip.Unmap()
		return []spool.Filter{f}
	}
	if !strings.Contains(query, "@") {
		f.Client = query
		return []spool.Filter{f}
	}
	byID, byRecipient, bySender := f, f, f
	byID.MessageID = "<" + strings.Trim(query, "<>") + ">"
	a, err := envelope.ParseAddress(strings.Trim(query, "<>"))
	if err != nil {
		return []spool.Filter{byID}
	}
	byRecipient.Recipient, bySender.Sender = a, a
	return []spool.Filter{byID, byRecipient, bySender}
}

// search reads the first limit messages, newest first, that one of the filters
// selects.
func (c *Console) search(ctx context.Context, filters []spool.Filter, limit int) ([]spool.Record, error) {
	var all []spool.Record
	for _, f := range filters {
		f.Limit = limit
		list, err := c.Store.List(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b spool.Record) int { return cmp.Compare(b.ID, a.ID) })
	all = slices.CompactFunc(all, func(a, b spool.Record) bool { return a.ID == b.ID })
	return all[:min(len(all), limit)], nil
}
