package parts

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"graphrelay/relay/message/charset"
)

// maxName is the longest file name, in bytes, that every system takes.
const maxName = 200

// fileName is the name of a part, or one that says what it is; label is the
// character set of a name in raw 8-bit text.
func fileName(h partHead, number int, label string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == ':':
			return '_'
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, charset.Raw(h.name, label))
	name = shorten(strings.Trim(name, " ."), maxName)
	if name == "" {
		name = "attachment-" + strconv.Itoa(number) + extension(h.mediaType)
	}
	if h.mediaType == typeMessage && !strings.HasSuffix(strings.ToLower(name), ".eml") {
		name += ".eml"
	}
	return name
}

// shorten cuts a name before its extension.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 && len(name)-i <= 20 {
		ext = name[i:]
	}
	return strings.ToValidUTF8(name[:limit-len(ext)], "") + ext
}

// extension is that of a file of a type, for parts without a name.
func extension(mediaType string) string {
	if known := extensions[mediaType]; known != "" {
		return known
	}
	return ".bin"
}

var extensions = map[string]string{
	typeText: ".txt", typeHTML: ".html", typeMessage: ".eml",
	"message/delivery-status": ".txt", "message/disposition-notification": ".txt", "message/feedback-report": ".txt",
	"text/rfc822-headers": ".txt", "text/calendar": ".ics", "text/csv": ".csv",
	"text/xml": ".xml", "application/xml": ".xml", "application/pdf": ".pdf",
	"application/zip": ".zip", "application/x-zip-compressed": ".zip",
	"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/pjpeg": ".jpg", "image/png": ".png", "image/x-png": ".png",
	"image/gif": ".gif", "image/bmp": ".bmp", "image/x-ms-bmp": ".bmp", "image/tiff": ".tif", "image/webp": ".webp",
	"image/svg+xml": ".svg",
}
