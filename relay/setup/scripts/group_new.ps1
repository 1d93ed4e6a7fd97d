Set-Note 'Changed' (Get-Now)
$group = New-DistributionGroup -Name $GroupName -Type Security -PrimarySmtpAddress $GroupAddress -Description ('Mailboxes that the app ' + $AppName + ' may send as') -MemberJoinRestriction Closed -MemberDepartRestriction Closed -RequireSenderAuthenticationEnabled $true@OWNERS@
