if ($granted.AppRoleId -notcontains '@ID@') { # @NAME@
  $null = New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -PrincipalId $SpId -ResourceId $graph.Id -AppRoleId '@ID@'
}
