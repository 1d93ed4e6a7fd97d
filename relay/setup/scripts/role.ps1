# A role without -CustomResourceScope would reach every mailbox; an assignment of the same name with another scope stops the script.
$dn = (Get-DistributionGroup -Identity $GroupAddress).DistinguishedName
$filter = "MemberOfGroup -eq '" + $dn.Replace("'", "''") + "'"
if (-not (Get-ManagementScope -Identity $ScopeName -ErrorAction SilentlyContinue)) {
  $null = New-ManagementScope -Name $ScopeName -RecipientRestrictionFilter $filter
}
