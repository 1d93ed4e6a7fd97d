package console

import (
	"context"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// refusals is the page of what was refused.
type refusals struct {
	Query       string
	Fault       untrusted
	Rows        []refusal
	First, Next template.URL
}

// refusal is what one client was refused for one reason within an hour.
type refusal struct {
	First, Last              time.Time
	Count                    int
	Client, Login            untrusted
	Addr                     string
	What                     untrusted // from whom to which domain
	Reply                    string
	Headline, Reason, Remedy untrusted
}

func (c *Console) refusals(w http.ResponseWriter, r *http.Request, s *session) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	skip, _ := strconv.Atoi(r.URL.Query().Get("skip"))
	skip = max(0, skip)
	v := refusals{Query: query}
	f, err := refusalFilterOf(query)
	if err != nil {
		v.Fault = untrusted(err.Error())
	} else {
		f.Skip, f.Limit = skip, pageSize+1
		if v.Rows, err = c.refusalsOf(r.Context(), f); err != nil {
			c.broken(w, r, s, err)
			return
		}
	}
	link := func(skip int) template.URL {
		return template.URL("/refusals?" + url.Values{"q": {query}, "skip": {strconv.Itoa(skip)}}.Encode())
	}
	if len(v.Rows) > pageSize {
		v.Rows, v.Next = v.Rows[:pageSize], link(skip+pageSize)
	}
	if skip > 0 {
		v.First = link(0)
	}
	c.show(w, r, s, http.StatusOK, "refusals", page{Title: "Refusals", Active: "refusals", Live: true, Body: v})
}

// refusalFilterOf reads what was typed: an IP address, the address of a sender, the
// domain of a recipient after an @ or with a dot, or the name of a client.
func refusalFilterOf(query string) (f spool.RefusalFilter, err error) {
	ip, ipErr := netip.ParseAddr(query)
	name, domain, at := strings.Cut(query, "@")
	switch {
	case ipErr == nil:
		f.Addr = ip.Unmap()
	case at && name != "":
		f.Sender, err = envelope.ParseAddress(query)
	case at:
		f.Domain = domain
	case strings.Contains(query, "."):
		f.Domain = query
	default:
		f.Client = query
	}
	return f, err
}

func (c *Console) refusalsOf(ctx context.Context, f spool.RefusalFilter) (rows []refusal, err error) {
	list, err := c.Operator.Refusals(ctx, f)
	for _, r := range list {
		rows = append(rows, refusalRow(r))
	}
	return rows, err
}

func refusalRow(r spool.Refusal) refusal {
	v := refusal{
		First: r.First, Last: r.Last, Count: r.Count, Client: untrusted(r.Client), Login: untrusted(r.Login),
		Addr: "this host", Reply: strconv.Itoa(r.Code) + " " + r.Status.Text(), Reason: untrusted(sentence(r.Reason)),
		Remedy: untrusted(sentence(reply.Remedy(r.Status, r.Reason))),
	}
	switch {
	case r.Addr.IsValid():
		v.Addr = r.Addr.String()
	case r.Domain == spool.Various:
		v.Addr = "various addresses"
	}
	switch {
	case r.Domain == spool.Various:
		v.What = "various senders and recipients"
	case !r.Sender.IsZero() && r.Domain != "":
		v.What = untrusted("from " + r.Sender.String() + " to " + r.Domain)
	case !r.Sender.IsZero():
		v.What = untrusted("from " + r.Sender.String())
	case r.Domain != "":
		v.What = untrusted("to " + r.Domain)
	}
	return v
}
