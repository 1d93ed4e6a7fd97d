FEDERATED=$(az ad app federated-credential list --id "$APP_ID" --query '[].[name, issuer, subject]' --output tsv)
if ! printf '%s\n' "$FEDERATED" | cut -f 2- | grep -qxF "$(printf '%s\t%s' "$ISSUER" "$SUBJECT")"; then
  if printf '%s\n' "$FEDERATED" | cut -f 1 | grep -qxF "$FEDERATED_NAME"; then
    echo "The app has a federated credential $FEDERATED_NAME for another issuer or subject: remove it in the portal (Certificates & secrets > Federated credentials), and run this again." >&2
    exit 1
  fi
  az ad app federated-credential create --id "$APP_ID" --parameters "$FEDERATED_JSON" --output none
fi
