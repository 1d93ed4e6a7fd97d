PERSON=$(az account show --query user.name --output tsv)
if [ "$PERSON" != "$ADMIN" ]; then
  echo "You are signed in as $PERSON, not as $ADMIN: nothing was changed. Run az logout, and this again." >&2
  exit 1
fi
