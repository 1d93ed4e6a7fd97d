if (-not $group.HiddenFromAddressListsEnabled) {
  Set-DistributionGroup -Identity $GroupAddress -HiddenFromAddressListsEnabled $true -BypassSecurityGroupManagerCheck
}
