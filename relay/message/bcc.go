package message

import "graphrelay/relay/envelope"

// checkBcc reads the Bcc fields for the report and for RejectExtra; their content
// is replaced in any case.
func (p *plan) checkBcc() error {
	for _, f := range p.h.fields {
		if f.kind != kindBcc {
			continue
		}
		l, err := p.parse(p.h.value(f))
		if err != nil {
			err = p.unreadable(f, err)
		} else {
			_, err = p.trim(&l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bcc writes the one Bcc, in the place of the first there was.
func (p *plan) bcc() {
	var missing []envelope.Address
	for i, a := range p.rcpts {
		if !p.covered[i] {
			missing = append(missing, a)
		}
	}
	p.report.Blind = len(missing)
	var text []byte
	if len(missing) > 0 {
		text = bccField(missing)
	}
	had := false
	for i, f := range p.h.fields {
		if f.kind == kindBcc {
			p.change(i, text)
			had, text = true, nil
		}
	}
	if !had && len(missing) > 0 {
		p.top = append(p.top, text...)
		p.added("Bcc")
	}
}

// bccField folds at 78 bytes if the addresses are shorter than that.
func bccField(rcpts []envelope.Address) []byte {
	b := append(make([]byte, 0, 32*len(rcpts)+8), "Bcc:"...)
	line := len(b)
	for i, a := range rcpts {
		s := a.String()
		if i > 0 {
			b = append(b, ',')
			line++
		}
		if i > 0 && line+len(" ,")+len(s) > 78 {
			b = append(b, "\r\n"...)
			line = 0
		}
		b = append(append(b, ' '), s...)
		line += len(" ") + len(s)
	}
	return append(b, "\r\n"...)
}
