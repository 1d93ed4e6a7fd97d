package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

// refusalReader reads what was refused.
type refusalReader interface {
	Refusals(ctx context.Context, f spool.RefusalFilter) ([]admin.Refusal, error)
}

// refusalFilters are what a search for messages means for what was refused, of which the
// domain of a recipient is kept, but neither the whole address nor a subject; none, if it
// asks for what no refusal has.
func refusalFilters(s sought) (list []spool.RefusalFilter) {
	if s.id != "" {
		return nil
	}
	for _, f := range s.filter.Alternatives() {
		if f.MessageID != "" || f.Subject != "" || f.SenderPart != "" {
			continue
		}
		r := spool.RefusalFilter{
			Addr: f.ClientIP, Client: f.Client, Sender: f.Sender, Domain: f.Recipient.Domain(),
			Since: f.Since, Until: f.Until,
		}
		if _, domain, ok := strings.Cut(f.RecipientPart, "@"); ok && domain != "" {
			r.Domain = domain
		} else if f.RecipientPart != "" {
			continue
		}
		if f.Part == "" {
			list = append(list, r)
			continue
		}
		byClient, byDomain := r, r
		byClient.Client, byDomain.Domain = f.Part, f.Part[strings.Index(f.Part, "@")+1:]
		list = append(list, byClient, byDomain)
	}
	return list
}

// findRefusals returns what the first filter finds that finds anything.
func findRefusals(
	ctx context.Context, q refusalReader, filters []spool.RefusalFilter, limit int,
) (list []admin.Refusal, err error) {
	for _, f := range filters {
		f.Limit = min(limit, spool.MaxPage)
		if list, err = q.Refusals(ctx, f); err != nil || len(list) > 0 {
			return list, err
		}
	}
	return list, nil
}

// printRefusal says in its first line what an administrator looks for.
func printRefusal(w io.Writer, r admin.Refusal) {
	p := terminal.NewPainter(w)
	who := "client " + r.Client
	if r.Client == "" {
		who = r.ClientAddr
	}
	fmt.Fprintf(w, "%s at %s, %s: %s\n", p.Paint(terminal.Red, "refused"), r.Last.Local().Format(time.RFC3339),
		text.Line(who), text.Line(r.Reason))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-9s%s\n", name, text.Line(value))
		}
	}
	if r.Client != "" {
		line("address", r.ClientAddr)
	}
	line("login", r.Login)
	if r.Various {
		line("from", "various senders and recipients")
	}
	line("from", r.Sender)
	line("to", r.Domain)
	if r.Count > 1 {
		line("count", fmt.Sprintf("%d since %s", r.Count, r.First.Local().Format(time.RFC3339)))
	}
	line("reply", strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, r.Status)))
	line("remedy", r.Remedy)
}
