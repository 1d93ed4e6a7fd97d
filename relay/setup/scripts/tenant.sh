IN_TENANT=$(az account show --query tenantId --output tsv)
if [ "$IN_TENANT" != "$TENANT" ]; then
  echo "You are signed in to the tenant $IN_TENANT, not to $TENANT: nothing was changed. Run az logout, and this again." >&2
  exit 1
fi
