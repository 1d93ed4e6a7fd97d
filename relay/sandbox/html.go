package sandbox

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"strconv"
	"strings"
)

// htmlPolicy is the content security policy of a message's HTML: a sandbox
// without scripts and forms, which loads nothing from anywhere.
const htmlPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'self'"

// html serves the HTML of a message for the frame on its page.
func (p *pages) html(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 is nobody's
	m, _ := p.d.Message(id)
	raw, _ := p.d.Raw(id)
	text, charset := htmlOf(m.Form, raw)
	if text == nil {
		http.Error(w, "This message has no HTML, or is not kept.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Security-Policy", htmlPolicy)
	w.Header().Set("Content-Type", cmp.Or(mime.FormatMediaType("text/html", map[string]string{"charset": charset}),
		"text/html"))
	_, _ = w.Write(text)
}

// htmlOf is the first HTML of a message, nil without one, and the name of its
// character set, which a browser reads as it reads the web's.
func htmlOf(form string, raw []byte) (text []byte, charset string) {
	if form != "mime" {
		return htmlOfJSON(raw), "utf-8"
	}
	images := map[string]string{} // by Content-ID
	walk(raw, func(p part) {
		switch id := strings.Trim(p.header.Get("Content-Id"), "<> "); {
		case p.body == nil:
		case p.kind == "text/html" && text == nil:
			text, charset = p.decoded(), p.params["charset"]
		case id != "" && strings.HasPrefix(p.kind, "image/"):
			images[id] = "data:" + p.kind + ";base64," + base64.StdEncoding.EncodeToString(p.decoded())
		}
	})
	for id, image := range images {
		text = bytes.ReplaceAll(text, []byte("cid:"+id), []byte(image))
	}
	return text, charset
}

// decoded undoes the transfer encoding, as far as the part can be read.
func (p part) decoded() []byte {
	body := p.body
	switch strings.ToLower(strings.TrimSpace(p.header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body) // skips line ends
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	b, _ := io.ReadAll(body)
	return append([]byte{}, b...)
}

// htmlOfJSON is the HTML of a sendMail request in JSON or of a draft.
func htmlOfJSON(raw []byte) []byte {
	type body struct{ ContentType, Content string }
	var v struct {
		Body    body
		Message struct{ Body body }
	}
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	for _, b := range []body{v.Body, v.Message.Body} {
		if strings.EqualFold(b.ContentType, "html") {
			return []byte(b.Content)
		}
	}
	return nil
}
