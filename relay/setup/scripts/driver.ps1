if (-not $PSCommandPath) {
  throw 'Save this text as a file and run the file: it starts itself once for each part.'
}
if (-not $Part) {
  $shell = Join-Path -Path $PSHOME -ChildPath 'powershell.exe'
  if ($PSVersionTable.PSEdition -eq 'Core') {
    $shell = Join-Path -Path $PSHOME -ChildPath 'pwsh'
  }
  $more = @()
  if ($SkipWait) {
    $more += '-SkipWait'
  }
  foreach ($number in @(@PARTS@)) {
    & $shell -NoProfile -File $PSCommandPath -Part $number @more
    if ($LASTEXITCODE -ne 0) {
      Write-Host "Part $number stopped; the reason is above. Run the script again, or only this part with: -Part $number"
      exit 1
    }
  }
  exit 0
}
