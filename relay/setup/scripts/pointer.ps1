# The object ID is that of the enterprise application, not of the app registration.
$pointer = Get-ServicePrincipal -Identity $AppId -ErrorAction SilentlyContinue | Where-Object { $_.AppId -eq $AppId }
if ($pointer -and "$($pointer.ObjectId)" -ne $SpId) {
  throw "Exchange knows this app by another object ID ($($pointer.ObjectId) instead of $SpId): remove that with Remove-ServicePrincipal -Identity $($pointer.ObjectId), and run this again."
}
if (-not $pointer) {
  $null = Invoke-Patiently { New-ServicePrincipal -AppId $AppId -ObjectId $SpId -DisplayName $AppName }
}
