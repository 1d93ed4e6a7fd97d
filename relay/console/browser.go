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

// A browser that has logged in keeps a cookie that says so, which distinguishes
// it from others at the same address that guess. The cookie grants no access: the
// password is still required.
const (
	browserCookie = "graphrelay_browser"
	browserLife   = 90 * 24 * time.Hour // since the last login
)

// browserValue is the cookie of a browser: its ID, and a MAC whose key is the
// hash of the password, so that nobody can forge one, it outlives a restart, and
// a new password makes it worthless.
func browserValue(id, hash string) string {
	mac := hmac.New(sha256.New, []byte(hash))
	_, _ = mac.Write([]byte("browser " + id))
	return id + "." + hex.EncodeToString(mac.Sum(nil))
}

// knownBrowser is the ID of a browser that has logged in before, else "".
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

// clientAddr is the address of the client: the other end of the connection, or the
// address that a proxy on this host names. Other hosts are not believed.
func clientAddr(r *http.Request) netip.Addr {
	peer := remoteAddr(r)
	if !peer.IsLoopback() {
		return peer
	}
	// The last address is what the proxy itself saw; those before it are claims.
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
