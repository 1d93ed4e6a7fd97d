# The object ID is that of the enterprise application, not of the app registration.
if (-not (Get-ServicePrincipal -Identity $SpId -ErrorAction SilentlyContinue)) {
  $null = New-ServicePrincipal -AppId $AppId -ObjectId $SpId -DisplayName $AppName
}
