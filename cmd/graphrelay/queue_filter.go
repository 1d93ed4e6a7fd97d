package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
)

const stateNames = "queued, deferred, paused, sending, held, sent, failed, damaged, deleted"

// filterFlags are the flags that select messages.
type filterFlags struct {
	states                                          []string
	mailbox, client, recipient, sender, reversePath string
	id, subject, old, new                           string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.states, "state", nil, "only these `STATES`: "+stateNames)
	flags.StringVar(&f.mailbox, "mailbox", "", "only those sent through this `MAILBOX`")
	flags.StringVar(&f.client, "client", "",
		"only those of this client, a `NAME` of the configuration or an IP address")
	flags.StringVar(&f.recipient, "recipient", "", "only those to this `ADDRESS`")
	flags.StringVar(&f.sender, "sender", "", "only those with this `ADDRESS` as From or reverse-path")
	flags.StringVar(&f.reversePath, "reverse-path", "", "only those with this `ADDRESS` as reverse-path")
	flags.StringVar(&f.id, "message-id", "", "only those with this Message-`ID`")
	flags.StringVar(&f.subject, "subject", "", "only those with this `TEXT` in the subject, in upper or lower case")
	flags.StringVar(&f.old, "older", "", "only those accepted longer ago than `TIME`, as in 30m, 4h or 2d")
	flags.StringVar(&f.new, "newer", "", "only those accepted more recently than `TIME` ago")
}

// given reports whether any flag selects something.
func (f *filterFlags) given() bool {
	return len(f.states) > 0 || f.mailbox+f.client+f.recipient+f.sender+f.reversePath+f.id+f.subject+f.old+f.new != ""
}

// filter reads the flags.
func (f *filterFlags) filter(now time.Time) (spool.Filter, error) {
	filter := spool.Filter{MessageID: bracketed(f.id), Subject: f.subject}
	filter.Client, filter.ClientIP = clientOrAddress(f.client)
	for _, s := range f.states {
		states, err := spool.ParseStates(s)
		if err != nil {
			return filter, fmt.Errorf("--state %q is not one of %s", s, stateNames)
		}
		filter.States = append(filter.States, states...)
	}
	for _, a := range []struct {
		flag, value string
		to          *envelope.Address
	}{
		{"mailbox", f.mailbox, &filter.Mailbox}, {"recipient", f.recipient, &filter.Recipient},
		{"sender", f.sender, &filter.Sender}, {"reverse-path", f.reversePath, &filter.ReversePath},
	} {
		if err := parseAddressFlag(a.flag, a.value, a.to); err != nil {
			return filter, err
		}
	}
	for _, a := range []struct {
		flag, value string
		to          *time.Time
	}{{"older", f.old, &filter.Until}, {"newer", f.new, &filter.Since}} {
		if a.value == "" {
			continue
		}
		span, err := operator.ParseSpan(a.value)
		if err != nil {
			return filter, fmt.Errorf("--%s %w", a.flag, err)
		}
		*a.to = now.Add(-span)
	}
	return filter, nil
}

// clientOrAddress reads the name of a client, or its IP address.
func clientOrAddress(s string) (name string, ip netip.Addr) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return "", ip.Unmap()
	}
	return s, netip.Addr{}
}

func parseAddressFlag(flag, value string, to *envelope.Address) (err error) {
	if value == "" {
		return nil
	}
	if *to, err = envelope.ParseRecipient(strings.Trim(value, "<>")); err != nil {
		return fmt.Errorf("--%s %q: %w; write it as user@example.org", flag, value, err)
	}
	return nil
}

// bracketed writes a Message-ID as its header does.
func bracketed(id string) string {
	if id == "" || strings.HasPrefix(id, "<") {
		return id
	}
	return "<" + id + ">"
}

// parseIDs reads queue IDs.
func parseIDs(args []string) ([]envelope.QueueID, error) {
	ids := make([]envelope.QueueID, len(args))
	for i, a := range args {
		id, err := envelope.ParseQueueID(a)
		if err != nil {
			return nil, fmt.Errorf("%q: %w; `graphrelay queue list` shows them", a, err)
		}
		ids[i] = id
	}
	return ids, nil
}

// selection is what a command works on: IDs, or what a filter selects.
type selection struct {
	filterFlags
	all bool
}

func (s *selection) add(cmd *cobra.Command) {
	s.filterFlags.add(cmd)
	cmd.Flags().BoolVar(&s.all, "all", false, "all messages; cannot be combined with flags that select some")
}

// read wants exactly one way of naming messages.
func (s *selection) read(args []string, now time.Time) ([]envelope.QueueID, spool.Filter, error) {
	switch {
	case len(args) > 0 && (s.given() || s.all):
		return nil, spool.Filter{}, errors.New("name queue IDs or select messages with flags, not both")
	case len(args) == 0 && !s.given() && !s.all:
		return nil, spool.Filter{}, errors.New("which messages? Name queue IDs, select some with flags such as " +
			"--mailbox or --older, or add --all")
	}
	ids, err := parseIDs(args)
	if err != nil {
		return nil, spool.Filter{}, err
	}
	f, err := s.filter(now)
	return ids, f, err
}
