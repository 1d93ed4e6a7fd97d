$app = Get-TheApp
if (-not $app) {
  $app = New-MgApplication -DisplayName $AppName -SignInAudience 'AzureADMyOrg'
}
$AppId = $app.AppId
$sp = Get-MgServicePrincipal -Filter "appId eq '$AppId'"
if (-not $sp) {
  $sp = Invoke-Patiently { New-MgServicePrincipal -AppId $AppId }
}
$SpId = $sp.Id
Write-Host "Application (client) ID: $AppId"
