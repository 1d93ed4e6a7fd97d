package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// A browser that has logged in keeps a cookie that says so, and is told by it
// from who guesses at the same address. It opens nothing: the password is asked
// all the same.
const (
	browserCookie = "graphrelay_browser"
	browserLife   = 90 * 24 * time.Hour // since the last login
)

// browserValue is the cookie of a browser: its ID, and a MAC whose key is the
// hash of the password, so that nobody makes one up, it outlives a restart, and
// another password makes it worthless.
func browserValue(id, hash string) string {
	mac := hmac.New(sha256.New, []byte(hash))
	_, _ = mac.Write([]byte("browser " + id))
	return id + "." + hex.EncodeToString(mac.Sum(nil))
}

// knownBrowser is the ID of a browser that has logged in before; "" of another.
func knownBrowser(r *http.Request, hash string) string {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(c.Value, ".")
	if id == "" || !hmac.Equal([]byte(c.Value), []byte(browserValue(id, hash))) {
		return ""
	}
	return id
}

// clientAddr is who asks: the other end of the connection, or whom a proxy on
// this host names. Another host may name whom it likes, and is not believed.
func clientAddr(r *http.Request) netip.Addr {
	peer := remoteAddr(r)
	if !peer.IsLoopback() {
		return peer
	}
	// What the proxy itself has seen stands last; before it stands what it was told.
	all := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	last, err := netip.ParseAddr(strings.TrimSpace(all[strings.LastIndex(all, ",")+1:]))
	if err != nil {
		return peer
	}
	return last.Unmap().WithZone("")
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}
