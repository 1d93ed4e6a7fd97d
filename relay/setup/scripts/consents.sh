ROLES=$(az ad sp show --id 00000003-0000-0000-c000-000000000000 --query "appRoles[?starts_with(value, 'Mail.')].id" --output tsv)
CONSENTS=''
if [ -n "$SP_ID" ]; then
  CONSENTS=$(az rest --method get --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" \
    --query 'value[].[id, appRoleId]' --output tsv |
    while read -r ID ROLE; do case $ROLES in *"$ROLE"*) echo "$ID" ;; esac done)
fi
