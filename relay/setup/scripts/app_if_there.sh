APP_ID=$(az ad app show --id "$CLIENT_ID" --query appId --output tsv 2>/dev/null || true)
if [ -z "$APP_ID" ]; then
  APP_ID=$(by_name)
  if [ -n "$APP_ID" ]; then
    echo "The app $APP_NAME of this tenant has the client ID $APP_ID, not $CLIENT_ID: write the right one into the configuration, and print this script again." >&2
    exit 1
  fi
  echo "WARNING: there is no app registration with the client ID $CLIENT_ID any more; what is left in Exchange is found by its names." >&2
fi
