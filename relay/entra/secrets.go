package entra

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"graphrelay/relay/text"
)

// assertionLife is how long a signed assertion may be used, by azidentity.
const assertionLife = 10 * time.Minute

// secrets makes known to a Redactor what a login holds, for as long as it is worth
// something. Its methods may be called at the same time.
type secrets struct {
	redactor *text.Redactor
	now      func() time.Time

	mu         sync.Mutex
	credential func() // forgets that of the credential in use; nil before the first
	passing    []passing
}

// passing is a secret that expires by itself.
type passing struct {
	expires time.Time
	forget  func()
}

// use replaces the secrets of the credential.
func (s *secrets) use(values ...string) {
	forget := s.redactor.Add(values...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential != nil {
		s.credential()
	}
	s.credential = forget
}

// until adds a secret that expires, and forgets those that have.
func (s *secrets) until(expires time.Time, value string) {
	p := passing{expires, s.redactor.Add(value)}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := []passing{p}
	for _, old := range s.passing {
		if s.now().Before(old.expires) {
			kept = append(kept, old)
		} else {
			old.forget()
		}
	}
	s.passing = kept
}

// end forgets everything in time: what was sent may still be echoed for a while.
func (s *secrets) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential != nil {
		time.AfterFunc(loginTimeout, s.credential)
	}
	for _, p := range s.passing {
		time.AfterFunc(p.expires.Sub(s.now()), p.forget)
	}
	s.credential, s.passing = nil, nil
}

// noteAssertion makes known the assertion that azidentity has signed for req.
func (s *secrets) noteAssertion(req *http.Request) {
	if req.Body == nil {
		return
	}
	data, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	req.Body = io.NopCloser(bytes.NewReader(data))
	if err != nil {
		return // the request fails
	}
	if form, err := url.ParseQuery(string(data)); err == nil && form.Get("client_assertion") != "" {
		s.until(s.now().Add(assertionLife), form.Get("client_assertion"))
	}
}
