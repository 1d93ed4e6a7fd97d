if [ -z "$ISSUER" ] || [ -z "$SUBJECT" ]; then
  echo 'Issuer and subject of the tokens are missing. Print this script again with --issuer URL (az aks show --query oidcIssuerProfile.issuerUrl) and --subject system:serviceaccount:NAMESPACE:NAME' >&2
  exit 1
fi
