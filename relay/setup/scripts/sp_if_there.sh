APP_ID=$CLIENT_ID
SP_ID=$(az ad sp show --id "$APP_ID" --query id --output tsv 2>/dev/null || true)
