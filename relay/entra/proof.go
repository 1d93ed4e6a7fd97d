package entra

import (
	"crypto/sha1" // x5t is a SHA-1 thumbprint by definition
	"encoding/base64"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// directory is the audience of a proof: what Graph changes keys in.
const directory = "00000002-0000-0000-c000-000000000000"

// Proof signs, with the certificate in use, that the caller holds a key of the
// application whose object ID is given: what Graph wants for addKey and removeKey.
// It lasts ten minutes, the longest that Graph takes.
func (l *Login) Proof(objectID string) (string, error) {
	c := l.current()
	if c.key == nil {
		return "", errors.New("only a certificate can prove that it is the application's")
	}
	now := l.cfg.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{ // aud as a string, as the documents have it
		"aud": directory, "iss": objectID, "nbf": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	sum := sha1.Sum(c.chain[0].Raw)
	token.Header["x5t"] = base64.RawURLEncoding.EncodeToString(sum[:])
	proof, err := token.SignedString(c.key)
	if err == nil {
		l.secrets.until(now.Add(assertionLife), proof)
	}
	return proof, err
}
