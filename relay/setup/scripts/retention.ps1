# Graph keeps a copy of each mail in Sent Items, and a full mailbox cannot send. This replaces the mailbox's own
# retention policy, so mailboxes with another policy than the default are skipped. Change the days, or remove this step, to fit your rules.
$tag = $AppName + ' sent items'
if (-not (Get-RetentionPolicyTag -Identity $tag -ErrorAction SilentlyContinue)) {
  $null = New-RetentionPolicyTag -Name $tag -Type SentItems -RetentionEnabled $true -AgeLimitForRetention 30 -RetentionAction DeleteAndAllowRecovery
}
if (-not (Get-RetentionPolicy -Identity $tag -ErrorAction SilentlyContinue)) {
  $null = New-RetentionPolicy -Name $tag -RetentionPolicyTagLinks $tag
}
foreach ($mailbox in $Mailboxes) {
  $now = "$((Get-Mailbox -Identity $mailbox).RetentionPolicy)"
  if ($now -eq '' -or $now -eq 'Default MRM Policy') {
    Set-Mailbox -Identity $mailbox -RetentionPolicy $tag
  } elseif ($now -ne $tag) {
    Write-Warning "$mailbox keeps its retention policy $now; see that it empties Sent Items."
  }
}
