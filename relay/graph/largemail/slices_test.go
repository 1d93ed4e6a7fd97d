package largemail

import (
	"strings"
	"testing"
)

func TestUploadURL(t *testing.T) {
	c := anyClient(t)
	own := c.cfg.Graph.Host
	for u, want := range map[string]bool{
		"https://outlook.office.com/api/gv1.0/x?authtoken=1": true, "https://outlook.office365.com:443/x": true,
		"https://partner.outlook.cn/x": true, "https://" + own + "/api/x": true,
		"http://outlook.office.com/x": false, "https://outlook.office.com.evil.example/x": false,
		"https://evil.example/outlook.office.com": false,
		"https://outlook.office.com:8443/x":       false, "https://a@outlook.office.com/x": false,
		"https://127.0.0.1:1/x": false,
		"/x":                    false, "": false, "https://outlook.office.com/x#y": false, "https://%zz": false,
	} {
		got, err := c.uploadURL(u)
		if (err == nil) != want || (err == nil) != (got != nil) {
			t.Errorf("%s: %v", u, err)
		}
		if err != nil && strings.Contains(err.Error(), "authtoken") {
			t.Errorf("shown: %v", err)
		}
	}
}

func TestNextExpected(t *testing.T) {
	for body, want := range map[string]int64{
		`{"ExpirationDateTime":"x","nextExpectedRanges":["2097152"]}`: 2097152,
		`{"NextExpectedRanges":["400-"]}`:                             400,
		`{"nextExpectedRanges":["5-9","20-"]}`:                        5,
		`{"nextExpectedRanges":[]}`:                                   7,
		`{"nextExpectedRanges":["x"]}`:                                7,
		`{"nextExpectedRanges":["-5"]}`:                               7,
		`{"nextExpectedRanges":["99999999999999999999"]}`:             7,
		`{`: 7,
		``:  7,
	} {
		if got := nextExpected([]byte(body), 7); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}

// Nothing that an upload session may say leads elsewhere or to a place before the file.
func FuzzSession(f *testing.F) {
	f.Add(`{"nextExpectedRanges":["2097152"]}`, "https://outlook.office.com/x?authtoken=1")
	f.Add(`{"nextExpectedRanges":["0-"]}`, "https://outlook.office.com@evil.example/x")
	f.Add(`{"nextExpectedRanges":["-"]}`, "https:\\outlook.office.com")
	c := anyClient(f)
	f.Fuzz(func(t *testing.T, body, at string) {
		if nextExpected([]byte(body), 7) < 0 {
			t.Errorf("%q", body)
		}
		if u, err := c.uploadURL(at); err == nil &&
			(u.Scheme != "https" || u.Host != c.cfg.Graph.Host && !isUploadHost(u)) {
			t.Errorf("%q is %s", at, u.Host)
		}
	})
}

// The inside of a JSON string comes out as encoding/json reads it.
func TestJSONAround(t *testing.T) {
	before, after, err := jsonAround(itemBody{"text", "MARK"}, "MARK")
	if err != nil || string(before) != `{"contentType":"text","content":"` || string(after) != `"}` {
		t.Errorf("%s %s %v", before, after, err)
	}
}
