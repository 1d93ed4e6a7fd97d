$app = Get-TheApp
if (-not $app) {
  $app = New-MgApplication -DisplayName $AppName -SignInAudience 'AzureADMyOrg'
}
$cer = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new((Resolve-Path -LiteralPath $Certificate).Path)
$keys = @($app.KeyCredentials | Where-Object { $_ })
$mark = [Convert]::ToBase64String($cer.GetCertHash())
$have = @($keys | Where-Object { $_.CustomKeyIdentifier -and ([Convert]::ToBase64String($_.CustomKeyIdentifier) -eq $mark) })
if ($have.Count -eq 0) {
  $new = @{ type = 'AsymmetricX509Cert'; usage = 'Verify'; key = $cer.RawData; displayName = $AppName }
  Update-MgApplication -ApplicationId $app.Id -KeyCredentials ($keys + $new)
}
$AppId = $app.AppId
$sp = Get-MgServicePrincipal -Filter "appId eq '$AppId'"
if (-not $sp) {
  $sp = New-MgServicePrincipal -AppId $AppId
}
$SpId = $sp.Id
Write-Host "Application (client) ID: $AppId"
