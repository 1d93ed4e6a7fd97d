package parts

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest file name, in bytes, that every system takes.
const maxName = 200

// fileName is the name of a part, or one that says what it is.
func fileName(h partHead, number int) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\' || r == ':':
			return '_'
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, h.name)
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

// extension is what a file of that type is called, for parts without a name.
func extension(mediaType string) string {
	switch mediaType {
	case typeText, "message/delivery-status", "text/rfc822-headers", "message/disposition-notification", "message/feedback-report":
		return ".txt"
	case typeHTML:
		return ".html"
	case typeMessage:
		return ".eml"
	case "text/calendar":
		return ".ics"
	case "text/csv":
		return ".csv"
	case "text/xml", "application/xml":
		return ".xml"
	case "application/pdf":
		return ".pdf"
	case "image/jpeg":
		return ".jpg"
	case "image/png", "image/gif", "image/bmp":
		return "." + strings.TrimPrefix(mediaType, "image/")
	case "image/tiff":
		return ".tif"
	case "application/zip", "application/x-zip-compressed":
		return ".zip"
	}
	return ".bin"
}
