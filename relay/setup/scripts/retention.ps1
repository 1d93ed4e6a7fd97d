# Graph keeps a copy of each mail in Sent Items, and a full mailbox cannot send. This step was asked for (--sent-items-days): Exchange
# then DELETES what is older from Sent Items of the mailboxes above, whoever sent it, and keeps it recoverable for the usual 14 days.
# Only a mailbox with the default retention policy gets this one instead; --undo gives the default back.
$tag = Get-RetentionPolicyTag -Identity $RetentionName -ErrorAction SilentlyContinue | Where-Object { $_.Name -eq $RetentionName }
if (-not $tag) {
  $null = New-RetentionPolicyTag -Name $RetentionName -Type SentItems -RetentionEnabled $true -AgeLimitForRetention @DAYS@ -RetentionAction DeleteAndAllowRecovery
} else {
  Set-RetentionPolicyTag -Identity $RetentionName -AgeLimitForRetention @DAYS@
}
if (-not (Get-RetentionPolicy -Identity $RetentionName -ErrorAction SilentlyContinue | Where-Object { $_.Name -eq $RetentionName })) {
  $null = New-RetentionPolicy -Name $RetentionName -RetentionPolicyTagLinks $RetentionName
}
foreach ($mailbox in $Mailboxes) {
  $box = Get-Mailbox -Identity $mailbox
  $now = "$($box.RetentionPolicy)"
  if ("$($box.RecipientTypeDetails)" -ne 'SharedMailbox') {
    Write-Warning "$mailbox is a user's mailbox, not a shared one: mail that a person sent from it is deleted too. If a person uses it, take this back now with: Set-Mailbox -Identity $mailbox -RetentionPolicy 'Default MRM Policy'"
  }
  if ($now -eq 'Default MRM Policy') {
    Set-Mailbox -Identity $mailbox -RetentionPolicy $RetentionName -Force
  } elseif ($now -ne $RetentionName) {
    Write-Warning "$mailbox keeps its retention policy ($now); see that it empties Sent Items."
  }
}
