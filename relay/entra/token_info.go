package entra

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"graphrelay/relay/outcome"
	"graphrelay/relay/text"
)

// TokenInfo is what the current token says about itself, for diagnosis. Only
// Expires is certain: to us a token is opaque, and what cannot be read is empty.
// It was not verified; Graph does that.
type TokenInfo struct {
	Tenant   string   // tid
	App      string   // appid: the client ID
	AppName  string   // app_displayname
	Audience string   // aud
	Roles    []string // application permissions consented in Entra; none under RBAC for Applications alone
	Expires  time.Time
}

// readToken reads the claims of a JWT without verifying it.
func readToken(t token) TokenInfo {
	info := TokenInfo{Expires: t.expires}
	parts := strings.Split(t.value, ".")
	if len(parts) != 3 {
		return info
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return info
	}
	var claims struct {
		Tid     string   `json:"tid"`
		AppID   string   `json:"appid"`
		AppName string   `json:"app_displayname"`
		Aud     string   `json:"aud"`
		Roles   []string `json:"roles"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return info
	}
	word := func(s string) string { return text.Foreign(s, outcome.MaxWord) }
	info.Tenant, info.App = word(claims.Tid), word(claims.AppID)
	info.AppName, info.Audience = word(claims.AppName), word(claims.Aud)
	for _, r := range claims.Roles {
		info.Roles = append(info.Roles, word(r))
	}
	return info
}
