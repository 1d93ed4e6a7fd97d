$named = @(Get-MgApplication -All | Where-Object { $_.DisplayName -eq $AppName -or $_.AppId -eq $ClientId })
if ($named.Count -gt 0 -and $named.AppId -notcontains $ClientId) {
  throw "The app $AppName of this tenant has the client ID $($named.AppId -join ', '), not ${ClientId}: write the right one into the configuration, and print this script again."
}
if ($named.Count -eq 0) {
  Write-Warning "There is no app registration with the client ID $ClientId any more; what is left in Exchange is found by its names."
}
