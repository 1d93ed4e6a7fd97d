$graph = Get-MgServicePrincipal -Filter "appId eq '00000003-0000-0000-c000-000000000000'"
$mailRoles = @($graph.AppRoles | Where-Object { $_.Value -like 'Mail.*' })
$consents = @()
if ($SpId) {
  $consents = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -All | Where-Object { $mailRoles.Id -contains $_.AppRoleId })
}
