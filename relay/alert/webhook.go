package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/state"
	"graphrelay/relay/text"
)

// Notice is the JSON that the webhook gets.
type Notice struct {
	Service string `json:"service"` // graphrelay
	Host    string `json:"host"`
	Key     string `json:"key"`
	Status  string `json:"status"` // firing or resolved
	Text    string `json:"text"`   // all of it in one line: what chat webhooks show
	state.Fault
	At       time.Time `json:"at"`
	Repeated bool      `json:"repeated"` // it was notified before and is still on
}

// The bounds of a request, and the pauses after failed ones.
const (
	maxURL       = 4096
	postLimit    = 15 * time.Second
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// webhook posts to the URL in a file.
type webhook struct {
	file    string
	client  *http.Client
	secrets *text.Redactor
	forget  func() // the URL that was used last
}

func newWebhook(file string, secrets *text.Redactor) *webhook {
	return &webhook{file, &http.Client{
		Timeout:       postLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, secrets, func() {}}
}

// CheckURLFile reads the file of a webhook's URL and returns what is wrong with
// it, without the URL.
func CheckURLFile(file string) error {
	_, err := readURL(file)
	return err
}

// Server is where the webhook of the URL in a file is: its scheme and host, without
// the rest, which is secret.
func Server(file string) (*url.URL, error) {
	u, err := readURL(file)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}, nil
}

func readURL(file string) (*url.URL, error) {
	const remedy = "write one https URL into it, alone on one line"
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the webhook's URL: %w; correct the path, "+
			"or let the service's user read it", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxURL+1))
	line := strings.TrimSpace(string(b))
	unprintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if err != nil || len(b) > maxURL || line == "" || strings.ContainsFunc(line, unprintable) {
		return nil, fmt.Errorf("the file %s does not contain one URL; %s", file, remedy)
	}
	u, err := url.Parse(line)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("the file %s does not contain a URL; %s", file, remedy)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("the URL in the file %s is not https (http is for loopback addresses only); %s",
			file, remedy)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// post sends n; nil after an answer of 2xx. It is not meant for several goroutines.
func (w *webhook) post(ctx context.Context, n Notice) error {
	u, err := readURL(w.file)
	if err != nil {
		return err
	}
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"graphrelay"}},
		Body:   io.NopCloser(bytes.NewReader(body))}
	old := w.forget
	w.forget = w.secrets.Add(secretsOf(req)...)
	old()
	res, err := w.client.Do(req.WithContext(ctx))
	if err != nil {
		return errors.New(w.secrets.Clean(withoutURL(err).Error()))
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch res.StatusCode / 100 {
	case 2:
		return nil
	case 3:
		return fmt.Errorf("it answered %d, a redirect, which is not followed; "+
			"write the URL that it leads to into the file", res.StatusCode)
	}
	return fmt.Errorf("it answered %d; check the URL in the file and the server behind it", res.StatusCode)
}

// secretsOf are what a server or a proxy may echo of a request: all of the URL but
// its host, and passwords.
func secretsOf(req *http.Request) []string {
	u := req.URL
	list := []string{u.RequestURI(), u.EscapedPath(), path.Base(u.Path), u.RawQuery}
	for _, values := range u.Query() {
		list = append(list, values...)
	}
	proxy, _ := http.ProxyFromEnvironment(req)
	for _, at := range []*url.URL{u, proxy} {
		if at != nil && at.User != nil {
			password, _ := at.User.Password()
			list = append(list, password, at.User.String(), at.User.Username()+":"+password)
		}
	}
	return list
}

// withoutURL removes the URL, which is a secret, from an error of net/http.
func withoutURL(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		return inner.Err
	}
	return err
}

// Run notifies the webhook until ctx ends. Without a webhook it does nothing.
func (b *Board) Run(ctx context.Context) {
	if b.cfg.URLFile == "" {
		<-ctx.Done()
		return
	}
	pause := firstPause
	for ctx.Err() == nil {
		n, ok, wait := b.next(time.Now())
		if !ok {
			b.rest(ctx, wait)
			continue
		}
		err := b.post(ctx, n)
		if ctx.Err() != nil {
			return
		}
		b.cfg.OnPost(err)
		if err == nil {
			b.accepted(n, time.Now())
			pause = firstPause
			continue
		}
		b.refused(n.Key, time.Now())
		b.cfg.Log.Warn("alert webhook request failed", "key", n.Key, "error", err, "retry_in", pause.String())
		_ = pacing.Sleep(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// rest waits until something changes, or for wait where that is not 0.
func (b *Board) rest(ctx context.Context, wait time.Duration) {
	var timer <-chan time.Time
	if wait > 0 {
		timer = time.After(wait)
	}
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-timer:
	}
}
