package intake

import (
	"context"
	"io"
	"net/netip"

	"graphrelay/relay/envelope"
	"graphrelay/relay/smtpd"
)

// Submit takes a message that the service itself wrote, under the rules for
// programs of this host. listener names its origin in the log.
func (in *Intake) Submit(
	ctx context.Context, listener string, from, to envelope.Address, message io.Reader,
) (envelope.QueueID, error) {
	peer := smtpd.Peer{Listener: listener, Addr: netip.MustParseAddrPort("127.0.0.1:1")}
	s, err := in.Connect(ctx, peer)
	if err != nil {
		return "", err
	}
	defer s.Close()
	tx, err := s.Mail(ctx, smtpd.MailFrom{Path: from, Helo: listener, ESMTP: true})
	if err != nil {
		return "", err
	}
	if err := tx.Rcpt(ctx, smtpd.RcptTo{Path: to}); err != nil {
		tx.Abort()
		return "", err
	}
	return tx.Data(ctx, message)
}
