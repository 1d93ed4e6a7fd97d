package operator

import (
	"context"
	"fmt"
	"strings"

	"graphrelay/relay/envelope"
)

const testMail = "From: %s\r\n" +
	"To: %s\r\n" +
	"Subject: Test mail from graphrelay\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"\r\n" +
	"This is a test mail from graphrelay on %s.\r\n" +
	"If you can read it, mail is delivered.\r\n"

// TestMail sends a test mail through the normal delivery path, under the rules
// for programs of this host.
func (o *Operator) TestMail(ctx context.Context, from, to envelope.Address) (envelope.QueueID, error) {
	return o.Submit(ctx, from, to, strings.NewReader(fmt.Sprintf(testMail, from, to, o.Hostname())))
}
