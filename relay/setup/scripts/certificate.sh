openssl x509 -inform der -in "$CERTIFICATE" -out "$WORK/app.pem" 2>/dev/null || openssl x509 -in "$CERTIFICATE" -out "$WORK/app.pem"
THUMBPRINT=$(openssl x509 -in "$WORK/app.pem" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g')
END=$(openssl x509 -in "$WORK/app.pem" -noout -enddate | awk -F '[= ]+' '{
  printf "%s-%02d-%02dT%s+00:00", $5, (index("JanFebMarAprMayJunJulAugSepOctNovDec", $2) + 2) / 3, $3, $4 }')
# Entra keeps the thumbprint in hexadecimal, as text.
uploaded() {
  az ad app credential list --id "$APP_ID" --cert --query '[].[customKeyIdentifier, endDateTime]' --output tsv |
    awk -v mark="$THUMBPRINT" 'toupper($1) == mark { print $2 }'
}
if [ -z "$(uploaded)" ]; then
  if ! az ad app credential reset --id "$APP_ID" --cert "@$WORK/app.pem" --append --end-date "$END" --output none; then
    echo 'WARNING: Entra refused the certificate with its own end; uploading it for one year.' >&2
    if ! az ad app credential reset --id "$APP_ID" --cert "@$WORK/app.pem" --append --output none; then
      echo 'Entra refused the certificate. An app management policy of the tenant may limit how long a certificate may be valid: make a shorter one (graphrelay cert new --days 180), or let the app be exempted.' >&2
      exit 1
    fi
  fi
fi
echo "Certificate $THUMBPRINT is valid in Entra until $(uploaded); its own end is $END. If Entra's is earlier, upload the next one before that day."
