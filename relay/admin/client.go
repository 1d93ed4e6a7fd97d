package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/spool"
	"graphrelay/relay/state"
)

// ErrNotRunning means that nobody answers at the admin socket.
var ErrNotRunning = errors.New("the service does not answer at its admin socket; " +
	"is it running, and may this user open the socket (group graphrelay)?")

// Client talks to a running service.
type Client struct {
	http *http.Client
	dial func(ctx context.Context, _, _ string) (net.Conn, error)
}

// Dial returns a Client for the unix socket at path. It connects on first use.
func Dial(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}, dial}
}

// Answers returns nil if the service answers, else ErrNotRunning.
func (c *Client) Answers(ctx context.Context) error {
	conn, err := c.dial(ctx, "", "")
	if err != nil {
		return fmt.Errorf("%w (%v)", ErrNotRunning, err)
	}
	return conn.Close()
}

// Status asks how the service is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.read(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Refused is why the service did not do what it was asked for.
type Refused struct{ Text string }

func (e *Refused) Error() string { return e.Text }

// Reload makes the service read its configuration again and try everything now. It
// returns the pauses that go on; *Refused says why it keeps the earlier configuration.
func (c *Client) Reload(ctx context.Context) (paused []state.Wait, err error) {
	res, err := c.do(ctx, http.MethodPost, "/v1/reload", nil, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return paused, json.NewDecoder(res.Body).Decode(&paused)
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return nil, &Refused{strings.TrimSpace(string(text))}
}

// List asks for a page of the messages that f selects.
func (c *Client) List(ctx context.Context, f spool.Filter) (list []Message, err error) {
	err = c.read(ctx, http.MethodGet, "/v1/queue", values(f), &list)
	return list, err
}

// Show asks for one message; spool.ErrNotFound if there is none with this ID.
func (c *Client) Show(ctx context.Context, id envelope.QueueID) (*Detail, error) {
	d := new(Detail)
	return d, c.read(ctx, http.MethodGet, "/v1/queue/"+url.PathEscape(string(id)), nil, d)
}

// Body asks for a stored message, header and body, as a stream; spool.ErrNotFound
// if it is deleted.
func (c *Client) Body(ctx context.Context, id envelope.QueueID) (io.ReadCloser, error) {
	return c.ask(ctx, http.MethodGet, "/v1/queue/"+url.PathEscape(string(id))+"/body", nil, nil)
}

// Change makes a change and calls report for each step of its progress, the last
// one with Done.
func (c *Client) Change(ctx context.Context, ch operator.Change, report func(operator.Progress)) error {
	body, err := json.Marshal(ids{IDs: ch.IDs, All: len(ch.IDs) == 0})
	if err != nil {
		return err
	}
	path := "/v1/queue/" + url.PathEscape(string(ch.Action))
	res, err := c.ask(ctx, http.MethodPost, path, values(ch.Filter), bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Close()
	for d := json.NewDecoder(res); ; {
		var p operator.Progress
		if err := d.Decode(&p); err != nil {
			return fmt.Errorf("the service stopped answering; the changes up to then are kept: %w", err)
		}
		report(p)
		switch {
		case p.Failed != "":
			return errors.New(p.Failed)
		case p.Done:
			return nil
		}
	}
}

// Count asks how many messages a change would be made to.
func (c *Client) Count(ctx context.Context, ch operator.Change) (n operator.Counted, err error) {
	if len(ch.IDs) > 0 {
		return operator.Counted{Messages: len(ch.IDs)}, nil
	}
	err = c.read(ctx, http.MethodGet, "/v1/queue/"+url.PathEscape(string(ch.Action))+"/count", values(ch.Filter), &n)
	return n, err
}

// Probe requests a probe of holds: of the one with this key, those of a mailbox, or
// all. It returns their keys.
func (c *Client) Probe(ctx context.Context, key string, mailbox envelope.Address) (keys []string, err error) {
	q := url.Values{"key": {key}, "mailbox": {mailbox.String()}}
	err = c.read(ctx, http.MethodPost, "/v1/holds/probe", q, &keys)
	return keys, err
}

// read makes a request and reads its answer into v.
func (c *Client) read(ctx context.Context, method, path string, q url.Values, v any) error {
	res, err := c.ask(ctx, method, path, q, nil)
	if err != nil {
		return err
	}
	defer res.Close()
	return json.NewDecoder(res).Decode(v)
}

// ask makes a request and returns the answer's body.
func (c *Client) ask(ctx context.Context, method, path string, q url.Values, body io.Reader) (io.ReadCloser, error) {
	res, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return nil, spool.ErrNotFound
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	return nil, fmt.Errorf("the service answered %s: %s", res.Status, strings.TrimSpace(string(text)))
}

// do makes a request; ErrNotRunning where nobody answers.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "graphrelay", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		err = fmt.Errorf("%w (%v)", ErrNotRunning, dial)
	}
	return res, err
}
