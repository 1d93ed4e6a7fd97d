$graph = Get-MgServicePrincipal -Filter "appId eq '00000003-0000-0000-c000-000000000000'"
$granted = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -All)
