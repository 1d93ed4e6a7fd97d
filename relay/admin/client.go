package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// ErrNotRunning means that nobody answers at the admin socket.
var ErrNotRunning = errors.New("the service does not answer at its admin socket; is it running, and may this user open the socket (group graphrelay)?")

// Client talks to a running service.
type Client struct{ http *http.Client }

// Dial returns a Client for the unix socket at path. It connects on first use.
func Dial(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Status asks how the service is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.get(ctx, "/v1/status", nil, &s)
	return s, err
}

// List asks for the messages that f selects.
func (c *Client) List(ctx context.Context, f spool.Filter) (list []Message, err error) {
	q := url.Values{}
	for _, s := range f.States {
		q.Add("state", string(s))
	}
	if !f.Mailbox.IsZero() {
		q.Set("mailbox", f.Mailbox.String())
	}
	if f.After != "" {
		q.Set("after", string(f.After))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	err = c.get(ctx, "/v1/queue", q, &list)
	return list, err
}

// Show asks for one message; spool.ErrNotFound if there is none with this ID.
func (c *Client) Show(ctx context.Context, id envelope.QueueID) (*Detail, error) {
	d := new(Detail)
	if err := c.get(ctx, "/v1/queue/"+url.PathEscape(string(id)), nil, d); err != nil {
		return nil, err
	}
	return d, nil
}

func (c *Client) get(ctx context.Context, path string, q url.Values, v any) error {
	u := url.URL{Scheme: "http", Host: "graphrelay", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("%w (%v)", ErrNotRunning, dial)
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return json.NewDecoder(res.Body).Decode(v)
	case http.StatusNotFound:
		return spool.ErrNotFound
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	return fmt.Errorf("the service answered %s: %s", res.Status, strings.TrimSpace(string(text)))
}
