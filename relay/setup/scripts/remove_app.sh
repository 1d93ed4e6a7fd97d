if az ad app show --id "$APP_ID" --output none 2>/dev/null; then
  az ad app delete --id "$APP_ID"
fi
