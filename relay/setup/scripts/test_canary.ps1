$readable = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $Canary | Where-Object { $_.RoleName -eq @ROLE@ })
Write-Host ("{0}, {1}: InScope {2} (expected: True)" -f $Canary, @ROLE@, ($readable.InScope -join ', '))
if ($readable.InScope -notcontains $true) {
  Write-Warning "Not in scope yet: $Canary. A new scope takes some minutes; run this again."
}
