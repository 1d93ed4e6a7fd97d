# A token keeps the consents that it was issued with for 60 to 90 minutes. Without the policy it would open every mailbox.
$policies = @(Get-ApplicationAccessPolicy -ErrorAction SilentlyContinue | Where-Object { $_.AppId -eq $AppId })
if ($policies.Count -gt 0) {
  Wait-Since 'Removed' 120
}
foreach ($policy in $policies) {
  Remove-ApplicationAccessPolicy -Identity $policy.Identity -Confirm:$false
}
