$AppId = $ClientId
$sp = Get-MgServicePrincipal -Filter "appId eq '$ClientId'" | Where-Object { $_.AppId -eq $ClientId }
$SpId = "$($sp.Id)"
