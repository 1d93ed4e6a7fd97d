if ((Get-Note 'Tenant') -ne $Tenant -or (Get-Note 'AppId') -ne $AppId) {
  Set-Content -LiteralPath $Notes -Value ('Tenant=' + $Tenant)
}
Set-Note 'AppId' $AppId
Set-Note 'SpId' $SpId
