package smtpd

import "testing"

func TestPolishedRepliesEchoNothing(t *testing.T) {
	for _, c := range [][3]string{
		{"MAIL", "250 2.0.0 Roger, accepting mail from <x>\r\n", "250 2.1.0 Sender ok\r\n"},
		{"RCPT", "250 2.0.0 I'll make sure <x> gets this\r\n", "250 2.1.5 Recipient ok\r\n"},
		{"EHLO", "250-Hello x\r\n250-SIZE 5\r\n250 Y\r\n", "250-h\r\n250-SIZE 5\r\n250 Y\r\n"},
		{"HELO", "250 2.0.0 Hello x\r\n", "250 h\r\n"},
		{"DATA", "502 5.5.1 Missing RCPT TO command.\r\n", "503 5.5.1 Bad sequence of commands\r\n"},
		{
			"MAIL", "504 5.5.4 SMTPUTF8 is not implemented\r\n",
			"555 5.5.4 Parameter not recognized or not implemented\r\n",
		},
		{"RCPT", "550 5.7.1 no\r\n", "550 5.7.1 no\r\n"},
		{"", "502 5.5.1 Command not implemented\r\n", "502 5.5.1 Command not implemented\r\n"},
		{"", "220 h ESMTP Service Ready\r\n", "220 h ESMTP Service Ready\r\n"},
	} {
		if got := string(appendPolished(nil, c[0], "h", []byte(c[1]))); got != c[2] {
			t.Errorf("%s %q became %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
