
# The SHA-1 thumbprint of the certificate, in upper case and without colons.
thumbprint() {
  { openssl x509 -inform der -in "$CERTIFICATE" -noout -fingerprint -sha1 2>/dev/null ||
    openssl x509 -in "$CERTIFICATE" -noout -fingerprint -sha1; } | sed 's/.*=//; s/://g'
}
