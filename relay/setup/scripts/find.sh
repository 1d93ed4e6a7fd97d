find_app
if [ -z "$APP_ID" ]; then
  echo "There is no app registration named $APP_NAME in this tenant." >&2
  exit 1
fi
SP_ID=$(az ad sp show --id "$APP_ID" --query id --output tsv)
