$group = Get-TheGroup
if ($group) {
  $users = @(Get-ApplicationAccessPolicy -ErrorAction SilentlyContinue | Where-Object { $_.ScopeName -eq $group.Name -or $_.ScopeName -eq $group.DisplayName })
  if ($users.Count -gt 0) {
    throw "An access policy of another app ($($users.AppId -join ', ')) uses the group ${GroupName}: it stays."
  }
  Remove-DistributionGroup -Identity $group.PrimarySmtpAddress -BypassSecurityGroupManagerCheck -Confirm:$false
}
