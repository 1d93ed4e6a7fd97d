# Access policies are the older way; for new tenants, use --method rbac.
if (-not (Get-ApplicationAccessPolicy -ErrorAction SilentlyContinue | Where-Object { $_.AppId -eq $AppId })) {
  Set-Note 'Changed' (Get-Now)
  $null = New-ApplicationAccessPolicy -AppId $AppId -PolicyScopeGroupId $GroupAddress -AccessRight RestrictAccess -Description ($AppName + ': only members of ' + $GroupAddress)
}
Get-ApplicationAccessPolicy | Where-Object { $_.AppId -eq $AppId } | Format-List -Property @('Identity', 'AppId', 'ScopeName', 'AccessRight')
