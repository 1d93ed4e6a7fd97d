package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of sessions.
const (
	cookieName  = "graphrelay_session"
	sessionLife = 12 * time.Hour
	sessionIdle = time.Hour
	maxSessions = 50
)

// session is one browser that knew the password.
type session struct {
	token      string // of its forms
	hash       string // of the password that opened it; a new password ends it
	made, used time.Time
}

func (s *session) hasToken(t string) bool {
	return subtle.ConstantTimeCompare([]byte(t), []byte(s.token)) == 1
}

// sessions are stored by the hash of their cookie.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[32]byte]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: map[[32]byte]*session{}}
}

// open makes a session of the password with this hash and returns the value of its
// cookie. It replaces the session that has been idle for the longest time.
func (s *sessions) open(hash string) string {
	value, now := rand.Text(), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if len(s.all) >= maxSessions {
		delete(s.all, slices.MinFunc(slices.Collect(maps.Keys(s.all)), func(a, b [32]byte) int {
			return s.all[a].used.Compare(s.all[b].used)
		}))
	}
	s.all[sha256.Sum256([]byte(value))] = &session{token: rand.Text(), hash: hash, made: now, used: now}
	return value
}

func (s *sessions) sweep(now time.Time) {
	maps.DeleteFunc(s.all, func(_ [32]byte, v *session) bool {
		return now.Sub(v.made) > sessionLife || now.Sub(v.used) > sessionIdle
	})
}

// of is the session of a request; nil if it has none.
func (s *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.sweep(now)
	found := s.all[sha256.Sum256([]byte(c.Value))]
	if found != nil {
		found.used = now
	}
	return found
}

func (s *sessions) close(r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, sha256.Sum256([]byte(c.Value)))
	}
}
