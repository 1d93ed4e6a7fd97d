# What one part leaves for the next: IDs and times, nothing secret. It lets a part run again alone, and a wait go on where it was.
function Get-Note($Name) {
  if (Test-Path -LiteralPath $Notes) {
    foreach ($line in @(Get-Content -LiteralPath $Notes)) {
      if ($line.StartsWith($Name + '=')) {
        return $line.Substring($Name.Length + 1)
      }
    }
  }
  return ''
}
function Set-Note($Name, $Value) {
  $lines = @()
  if (Test-Path -LiteralPath $Notes) {
    $lines = @(Get-Content -LiteralPath $Notes | Where-Object { -not $_.StartsWith($Name + '=') })
  }
  Set-Content -LiteralPath $Notes -Value ($lines + ($Name + '=' + $Value))
}
function Get-Now {
  return [DateTimeOffset]::UtcNow.ToUnixTimeSeconds()
}

# A wait whose begin is known lasts as long as it must, whatever -SkipWait says.
function Wait-Since($Name, $Minutes) {
  $since = Get-Note $Name
  $left = $Minutes * 60
  if ($since) {
    $left = [long]$since + $left - (Get-Now)
  } elseif ($SkipWait) {
    $left = 0
  }
  if ($left -gt 0) {
    Write-Host ('Waiting for {0} minutes. If you stop here, run this again later: it waits for the rest only.' -f [Math]::Ceiling($left / 60))
    Start-Sleep -Seconds $left
  }
}

# What one service of Microsoft creates, another learns of some minutes later.
function Invoke-Patiently([scriptblock]$Action) {
  $tries = 0
  while ($true) {
    try {
      return (& $Action)
    } catch {
      $tries++
      if ($tries -ge 12) {
        throw
      }
      Write-Host "Not possible yet ($_); trying again in 30 seconds."
      Start-Sleep -Seconds 30
    }
  }
}
