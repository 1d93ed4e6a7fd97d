if (-not (Get-ServicePrincipal -Identity $SpId -ErrorAction SilentlyContinue)) {
  $null = New-ServicePrincipal -AppId $AppId -ObjectId $SpId -DisplayName $AppName
}
