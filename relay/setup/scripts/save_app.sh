if [ "$(note Tenant)" != "$TENANT" ] || [ "$(note AppId)" != "$APP_ID" ]; then
  echo "Tenant=$TENANT" >"$NOTES"
fi
set_note AppId "$APP_ID"
set_note SpId "$SP_ID"
