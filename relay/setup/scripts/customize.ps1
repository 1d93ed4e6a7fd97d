# An organisation that nobody has customised takes no roles and no retention policies of its own.
if ((Get-OrganizationConfig).IsDehydrated) {
  Write-Host 'This organisation was never customised: enabling that, which takes some minutes and changes nothing else.'
  try {
    Enable-OrganizationCustomization
  } catch {
    Write-Warning "Enable-OrganizationCustomization: $_"
  }
  $tries = 0
  while ((Get-OrganizationConfig).IsDehydrated) {
    $tries++
    if ($tries -gt 60) {
      throw 'The organisation is still not ready (Get-OrganizationConfig: IsDehydrated is True). Run this again in some hours.'
    }
    Start-Sleep -Seconds 30
  }
}
