APP_ID=$(note AppId)
SP_ID=$(note SpId)
if [ "$(note Tenant)" != "$TENANT" ]; then
  echo 'The app is not known yet: run part 1 first.' >&2
  exit 1
fi
