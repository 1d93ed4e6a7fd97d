foreach ($policy in @(Get-ApplicationAccessPolicy -ErrorAction SilentlyContinue | Where-Object { $_.AppId -eq $AppId })) {
  Remove-ApplicationAccessPolicy -Identity $policy.Identity -Confirm:$false
}
