foreach ($app in @(Get-MgApplication -Filter "appId eq '$AppId'" | Where-Object { $_.AppId -eq $AppId })) {
  Remove-MgApplication -ApplicationId $app.Id
}
