package sandbox

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"
)

func (d *Double) getAccess(w http.ResponseWriter, _ *http.Request) {
	if a, ok := d.Access(); ok {
		writeJSON(w, http.StatusOK, a)
		return
	}
	writeJSON(w, http.StatusOK, nil)
}

func (d *Double) changeAccess(v struct {
	Access      Access   `json:"access"`
	Propagation duration `json:"propagation"`
}) error {
	return d.SetAccess(v.Access, time.Duration(v.Propagation))
}

// changeCertificates registers the certificates of a PEM text, and no others.
func (d *Double) changeCertificates(v struct {
	PEM string `json:"pem"`
}) error {
	var certs []*x509.Certificate
	for rest := []byte(v.PEM); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("pem: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return errors.New("pem holds no certificate (-----BEGIN CERTIFICATE-----)")
	}
	d.SetCertificates(certs...)
	return nil
}

func (d *Double) changePropagation(v struct {
	Advance duration `json:"advance"`
}) error {
	d.Propagate(time.Duration(v.Advance))
	return nil
}

func (d *Double) changeClock(v struct {
	Advance duration `json:"advance"`
}) error {
	d.Advance(time.Duration(v.Advance))
	return nil
}
