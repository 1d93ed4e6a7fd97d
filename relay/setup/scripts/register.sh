find_app
if [ -z "$APP_ID" ]; then
  APP_ID=$(az ad app create --display-name "$APP_NAME" --sign-in-audience AzureADMyOrg --query appId --output tsv)
fi
SP_ID=$(az ad sp show --id "$APP_ID" --query id --output tsv 2>/dev/null || true)
if [ -z "$SP_ID" ]; then
  SP_ID=$(patiently az ad sp create --id "$APP_ID" --query id --output tsv)
fi
echo "Application (client) ID: $APP_ID"
