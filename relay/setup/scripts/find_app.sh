# The client IDs of the apps with this name.
by_name() {
  az ad app list --all --output tsv --query '[].[displayName, appId]' |
    APP_NAME=$APP_NAME awk -F '\t' '$1 == ENVIRON["APP_NAME"] { print $2 }'
}
# The app registration with the client ID of the configuration, or else with this name.
find_app() {
  APP_ID=''
  if [ -n "$CLIENT_ID" ]; then
    APP_ID=$(az ad app show --id "$CLIENT_ID" --query appId --output tsv 2>/dev/null || true)
  fi
  if [ -z "$APP_ID" ]; then
    APP_ID=$(by_name)
  fi
  case $APP_ID in
  *[!0-9a-fA-F-]*)
    echo "More than one app registration is named $APP_NAME. Write client_id into the configuration, and make the script again." >&2
    exit 1
    ;;
  esac
}
