# A role without -CustomResourceScope would reach every mailbox; an assignment of the same name with another scope stops the script.
$dn = $group.DistinguishedName.Replace("'", "''")
$scope = Get-TheScope $ScopeName
if (-not $scope) {
  $scope = New-ManagementScope -Name $ScopeName -RecipientRestrictionFilter ("MemberOfGroup -eq '" + $dn + "'")
}
if ("$($scope.RecipientFilter)".IndexOf($dn) -lt 0) {
  throw "The scope $ScopeName is not that of the group $GroupAddress. Remove it with Remove-ManagementScope, or choose another --name."
}
