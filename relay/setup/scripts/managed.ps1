$AppId = $ClientId
$sp = Get-MgServicePrincipal -Filter "appId eq '$ClientId'" | Where-Object { $_.AppId -eq $ClientId }
if (-not $sp -or $sp.ServicePrincipalType -ne 'ManagedIdentity') {
  throw "There is no managed identity with the client ID $ClientId in this tenant. Take the Application ID from Entra ID > Enterprise applications (filter: Managed identities), not the object ID that the machine's page shows."
}
$SpId = $sp.Id
Write-Host 'It belongs to this resource; the relay must run on this machine, or on a machine to which this identity is assigned:'
Write-Host (($sp.AlternativeNames -like '/subscriptions/*') -join ', ')
