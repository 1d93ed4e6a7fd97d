package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
)

// Refusal is what one client was refused for one reason within an hour.
type Refusal struct {
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Count      int       `json:"count"`
	Client     string    `json:"client"`      // name of the client entry; empty for others
	ClientAddr string    `json:"client_addr"` // IP address, "unix", or "various"
	Login      string    `json:"login,omitempty"`
	Sender     string    `json:"sender,omitempty"`
	Domain     string    `json:"recipient_domain,omitempty"`
	Various    bool      `json:"various,omitempty"` // the senders and recipients differ
	Code       int       `json:"code"`
	Status     string    `json:"status"`
	Reason     string    `json:"reason"`
	Remedy     string    `json:"remedy"`
}

// RefusalOf makes the shown form of a refusal.
func RefusalOf(r spool.Refusal) Refusal {
	shown := Refusal{
		First: r.First, Last: r.Last, Count: r.Count, Client: r.Client, ClientAddr: "unix", Login: r.Login,
		Sender: r.Sender.String(), Domain: r.Domain, Code: r.Code, Status: r.Status.Text(),
		Reason: r.Reason, Remedy: reply.Remedy(r.Status, r.Reason),
	}
	if shown.Various = r.Domain == spool.Various; shown.Various {
		shown.Domain, shown.ClientAddr = "", "various"
	}
	if r.Addr.IsValid() {
		shown.ClientAddr = r.Addr.String()
	}
	return shown
}

func refusalsOf(list []spool.Refusal, err error) ([]Refusal, error) {
	shown := make([]Refusal, 0, len(list))
	for _, r := range list {
		shown = append(shown, RefusalOf(r))
	}
	return shown, err
}

// Refusals returns a page of what f selects, the latest first.
func (q Queue) Refusals(ctx context.Context, f spool.RefusalFilter) ([]Refusal, error) {
	return refusalsOf(q.Store.Refusals(ctx, f))
}

// Refusals asks for a page of what f selects, the latest first.
func (c *Client) Refusals(ctx context.Context, f spool.RefusalFilter) (list []Refusal, err error) {
	err = c.read(ctx, http.MethodGet, "/v1/refusals", refusalValues(f), &list)
	return list, err
}

// refusals answers with what was refused.
func (s *Server) refusals(w http.ResponseWriter, r *http.Request, f spool.RefusalFilter) {
	list, err := refusalsOf(s.Operator.Refusals(r.Context(), f))
	answer(w, list, err)
}

// refusalValues writes a filter as the query of a request.
func refusalValues(f spool.RefusalFilter) url.Values {
	q := url.Values{"client": {f.Client}, "sender": {f.Sender.String()}, "domain": {f.Domain}}
	if f.Addr.IsValid() {
		q.Set("addr", f.Addr.String())
	}
	setTimes(q, f.Since, f.Until)
	for name, n := range map[string]int{"skip": f.Skip, "limit": f.Limit} {
		if n > 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	maps.DeleteFunc(q, func(_ string, value []string) bool { return value[0] == "" })
	return q
}

// refusalFilterOf reads what refusalValues wrote; an unknown name is an error.
func refusalFilterOf(r *http.Request) (f spool.RefusalFilter, err error) {
	for name, list := range r.URL.Query() {
		value := list[0]
		switch name {
		case "client":
			f.Client = value
		case "sender":
			f.Sender, err = envelope.ParseRecipient(value)
		case "domain":
			f.Domain = value
		case "addr":
			f.Addr, err = netip.ParseAddr(value)
		case "since":
			f.Since, err = time.Parse(time.RFC3339Nano, value)
		case "until":
			f.Until, err = time.Parse(time.RFC3339Nano, value)
		case "skip":
			f.Skip, err = strconv.Atoi(value)
		case "limit":
			f.Limit, err = strconv.Atoi(value)
		default:
			err = errors.New("there is no such filter")
		}
		if err != nil {
			return f, fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	return f, nil
}
