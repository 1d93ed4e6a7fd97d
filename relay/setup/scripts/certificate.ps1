# Graph keeps the thumbprint in hexadecimal, which the module reads as base64; both readings are compared.
$marks = @($cer.Thumbprint, [Convert]::ToBase64String($cer.GetCertHash()))
function Get-TheKey {
  return $app.KeyCredentials | Where-Object { $_.CustomKeyIdentifier -and ($marks -contains [Convert]::ToBase64String($_.CustomKeyIdentifier)) }
}
if (-not (Get-TheKey)) {
  $keys = @($app.KeyCredentials | Where-Object { $_ })
  $new = @{ type = 'AsymmetricX509Cert'; usage = 'Verify'; key = $cer.RawData; displayName = $AppName; startDateTime = $cer.NotBefore.ToUniversalTime(); endDateTime = $cer.NotAfter.ToUniversalTime() }
  try {
    Update-MgApplication -ApplicationId $app.Id -KeyCredentials ($keys + $new)
  } catch {
    Write-Warning "Entra refused the certificate with its own dates ($_); uploading it with those that Entra sets."
    $new.Remove('startDateTime')
    $new.Remove('endDateTime')
    try {
      Update-MgApplication -ApplicationId $app.Id -KeyCredentials ($keys + $new)
    } catch {
      throw "Entra refused the certificate: $_. An app management policy of the tenant may limit how long a certificate may be valid: make a shorter one (graphrelay cert new --days 180), or let the app be exempted."
    }
  }
  $app = Get-MgApplication -ApplicationId $app.Id
}
$key = Get-TheKey
if ($key) {
  Write-Host "Certificate $($cer.Thumbprint) is valid in Entra until $($key.EndDateTime)"
  if ($key.EndDateTime -lt $cer.NotAfter.ToUniversalTime().AddDays(-1)) {
    Write-Warning "Entra accepts this certificate until $($key.EndDateTime) only, not until $($cer.NotAfter): upload the next one before that day."
  }
} else {
  Write-Warning 'Entra does not list the certificate yet: look in the portal in some minutes (Certificates & secrets), or run this part again.'
}
