APP_ID=$CLIENT_ID
SP_ID=$(az ad sp show --id "$APP_ID" --query "[servicePrincipalType, id]" --output tsv 2>/dev/null | tr '\n' ' ' | sed -n 's/^ManagedIdentity[[:space:]]*\([^[:space:]]*\).*/\1/p')
if [ -z "$SP_ID" ]; then
  echo "There is no managed identity with the client ID $CLIENT_ID in this tenant. Take the Application ID from Entra ID > Enterprise applications (filter: Managed identities), not the object ID that the machine's page shows." >&2
  exit 1
fi
echo 'It belongs to this resource; the relay must run on this machine, or on a machine to which this identity is assigned:'
az ad sp show --id "$APP_ID" --query 'alternativeNames' --output tsv
