SECRETS=$(az ad app credential list --id "$APP_ID" --query '[].endDateTime' --output tsv)
if [ -n "$SECRETS" ]; then
  echo "The app has a client secret, valid until $SECRETS"
else
  echo 'WARNING: the app has no client secret yet.' >&2
fi
