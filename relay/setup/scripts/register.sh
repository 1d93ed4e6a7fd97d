find_app
if [ -z "$APP_ID" ]; then
  APP_ID=$(az ad app create --display-name "$APP_NAME" --sign-in-audience AzureADMyOrg --query appId --output tsv)
fi
if [ -z "$(az ad app credential list --id "$APP_ID" --cert --query "[?customKeyIdentifier=='$(thumbprint)'].keyId" --output tsv)" ]; then
  openssl x509 -inform der -in "$CERTIFICATE" -out "$WORK/app.pem" 2>/dev/null || openssl x509 -in "$CERTIFICATE" -out "$WORK/app.pem"
  az ad app credential reset --id "$APP_ID" --cert "@$WORK/app.pem" --append --output none
fi
SP_ID=$(az ad sp show --id "$APP_ID" --query id --output tsv 2>/dev/null || true)
if [ -z "$SP_ID" ]; then
  SP_ID=$(az ad sp create --id "$APP_ID" --query id --output tsv)
fi
echo "Application (client) ID: $APP_ID"
