package charset

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// byLabel finds the encoding that a label names, nil if it is UTF-8,
// US-ASCII, unknown, or one that a message must not choose: the table is that of
// browsers, which maps the dangerous ones to "replacement".
func byLabel(label string) encoding.Encoding {
	label, key := labelKey(label)
	if asItIs[key] {
		return nil // the bytes decide, not the label
	}
	if e := encodings[codePage(key)]; e != nil {
		return e
	}
	for _, name := range []string{label, aliases[codePage(key)], aliases[key]} {
		if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
			return e
		}
	}
	return nil
}

// Unheard reports whether a label names a character set that is not known here.
func Unheard(label string) bool {
	_, key := labelKey(label)
	return byLabel(label) == nil && !asItIs[key]
}

func labelKey(label string) (plain, key string) {
	plain = strings.ToLower(strings.Trim(strings.TrimSpace(label), `"'`))
	plain, _, _ = strings.Cut(plain, "*") // a language may follow (RFC 2231 section 5)
	return plain, strings.NewReplacer("-", "", "_", "", " ", "").Replace(plain)
}

// codePage cuts what is written before the number of a code page: "cp850",
// "ibm850", "x-ms-cp850" and "850" are the same.
func codePage(key string) string {
	number := strings.TrimLeft(key, "abcdefghijklmnopqrstuvwxyz")
	switch strings.TrimPrefix(key[:len(key)-len(number)], "x") {
	case "", "cp", "ibm", "ms", "mscp", "dos", "windows", "win", "codepage", "csibm", "cspc", "oem":
		return number
	}
	return key
}

var asItIs = map[string]bool{
	"": true, "utf8": true, "usascii": true, "ascii": true, "unknown8bit": true, "xuserdefined": true, "binary": true,
	"xunknown": true, "unknown": true, "default": true, "none": true, "8bit": true, "7bit": true,
}

// utf16 obeys a byte order mark and is little-endian without one, as browsers
// and the programs that forget the mark have it.
var utf16 = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)

// encodings are those that browsers do not know, or know in another form.
var encodings = map[string]encoding.Encoding{
	"037": charmap.CodePage037, "437": charmap.CodePage437, "850": charmap.CodePage850, "852": charmap.CodePage852,
	"855": charmap.CodePage855, "858": charmap.CodePage858, "00858": charmap.CodePage858,
	"860": charmap.CodePage860, "862": charmap.CodePage862,
	"863": charmap.CodePage863, "865": charmap.CodePage865, "1047": charmap.CodePage1047, "1140": charmap.CodePage1140,
	"936": simplifiedchinese.GB18030, "gbk": simplifiedchinese.GB18030, "gb2312": simplifiedchinese.GB18030,
	"euccn": simplifiedchinese.GB18030, "51936": simplifiedchinese.GB18030,
	"utf16": utf16, "ucs2": utf16, "iso10646ucs2": utf16, "utf16le": utf16,
	"utf16be":  unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	"utf32":    utf32.UTF32(utf32.LittleEndian, utf32.UseBOM),
	"utf32le":  utf32.UTF32(utf32.LittleEndian, utf32.UseBOM),
	"utf32be":  utf32.UTF32(utf32.BigEndian, utf32.UseBOM),
	"hzgb2312": simplifiedchinese.HZGB2312,
	"utf7":     utf7{}, "unicode11utf7": utf7{}, "65000": utf7{}, "xutf7": utf7{},
}

// aliases name an encoding of the browsers' table by another label.
var aliases = map[string]string{
	"866": "ibm866", "874": "windows-874", "932": "shift_jis", "949": "euc-kr", "uhc": "euc-kr",
	"950": "big5", "951": "big5", "943": "shift_jis", "31j": "shift_jis", "1361": "euc-kr", "54936": "gb18030",
	"1250": "windows-1250", "1251": "windows-1251", "1252": "windows-1252", "1253": "windows-1253",
	"1254": "windows-1254", "1255": "windows-1255", "1256": "windows-1256", "1257": "windows-1257",
	"1258": "windows-1258", "20127": "windows-1252", "28591": "iso-8859-1", "28592": "iso-8859-2",
	"20866": "koi8-r", "21866": "koi8-u", "koi8": "koi8-r", "koi8r": "koi8-r", "koi8u": "koi8-u",
	"10000": "macintosh", "macroman": "macintosh", "latin9": "iso-8859-15", "latin0": "iso-8859-15",
	"eucjp": "euc-jp", "51932": "euc-jp", "eucjpms": "euc-jp", "50220": "iso-2022-jp", "50221": "iso-2022-jp",
	"50222": "iso-2022-jp", "iso2022jpms": "iso-2022-jp", "sjis": "shift_jis", "sjiswin": "shift_jis",
	"shiftjis": "shift_jis", "euckr": "euc-kr", "51949": "euc-kr", "ksc5601": "euc-kr", "ksc56011987": "euc-kr",
	"gb18030": "gb18030", "big5hkscs": "big5", "tis620": "windows-874",
	"iso88591": "iso-8859-1", "iso88592": "iso-8859-2", "iso88593": "iso-8859-3", "iso88594": "iso-8859-4",
	"iso88595": "iso-8859-5", "iso88596": "iso-8859-6", "iso88597": "iso-8859-7", "iso88598": "iso-8859-8",
	"iso88599": "iso-8859-9", "iso885910": "iso-8859-10", "iso885913": "iso-8859-13", "iso885914": "iso-8859-14",
	"iso885915": "iso-8859-15", "iso885916": "iso-8859-16", "latin1": "iso-8859-1", "latin2": "iso-8859-2",
	"ansix3.41968": "windows-1252", "iso646us": "windows-1252",
}

// Known reports whether a label of an encoded word means the same to other
// readers as here. It does not for UTF-16, whose byte order they guess, for UTF-7,
// and for what only this package calls by that label.
func Known(label string) bool {
	label = strings.ToLower(label)
	e, err := htmlindex.Get(label)
	return err == nil && e != encoding.Replacement && !strings.HasPrefix(label, "utf-16") || label == "ascii"
}
