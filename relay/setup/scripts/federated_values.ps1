if (-not $Issuer -or -not $Subject) {
  throw 'Issuer and subject of the tokens are missing. Print this script again with --issuer URL (az aks show --query oidcIssuerProfile.issuerUrl) and --subject system:serviceaccount:NAMESPACE:NAME'
}
