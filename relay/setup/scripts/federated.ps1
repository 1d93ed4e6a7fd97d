$federated = @(Get-MgApplicationFederatedIdentityCredential -ApplicationId $app.Id -All)
if (@($federated | Where-Object { $_.Issuer -ceq $Issuer -and $_.Subject -ceq $Subject }).Count -eq 0) {
  if ($federated.Name -contains $FederatedName) {
    throw "The app has a federated credential $FederatedName for another issuer or subject: remove it in the portal (Certificates & secrets > Federated credentials), and run this again."
  }
  $null = New-MgApplicationFederatedIdentityCredential -ApplicationId $app.Id -Name $FederatedName -Issuer $Issuer -Subject $Subject -Audiences @('api://AzureADTokenExchange')
}
