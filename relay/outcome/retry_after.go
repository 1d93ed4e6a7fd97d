package outcome

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what RetryAfter returns.
const maxRetryAfter = time.Hour

// Field finds a header field whatever the case of the map's key.
func Field(h http.Header, name string) string {
	if v := h.Get(name); v != "" {
		return v
	}
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

// RetryAfter reads a Retry-After of RFC 9110 section 10.2.3, in seconds or as a date,
// bounded to an hour; 0 if there is none to speak of. A date is compared with the
// answer's own Date where it has one, so that the clock of this machine does not matter.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	return retryAfter(Field(h, "Retry-After"), Field(h, "Date"), now)
}

func retryAfter(value, date string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if value[0] >= '0' && value[0] <= '9' && strings.Trim(value, "0123456789") == "" {
		s, err := strconv.Atoi(value)
		if err != nil || s > int(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if server, err := http.ParseTime(date); err == nil {
		now = server
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
