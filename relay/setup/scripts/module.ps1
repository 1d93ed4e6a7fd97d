[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
foreach ($module in @(@NAMES@)) {
  if (-not (Get-Module -ListAvailable -Name $module)) {
    Install-Module -Name $module -Scope CurrentUser -Force
  } elseif (Get-InstalledModule -Name $module -ErrorAction SilentlyContinue) {
    try {
      Update-Module -Name $module
    } catch {
      Write-Warning "The module $module cannot be updated ($_); using it as it is."
    }
  }
}
