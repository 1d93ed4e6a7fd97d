function Get-TheApp {
  $found = $null
  if ($ClientId) {
    $found = Get-MgApplication -Filter "appId eq '$ClientId'"
  }
  if (-not $found) {
    $found = @(Get-MgApplication -All | Where-Object { $_.DisplayName -eq $AppName })
    if ($found.Count -gt 1) {
      throw "More than one app registration is named $AppName. Write client_id into the configuration, and make the script again."
    }
  }
  return $found
}
