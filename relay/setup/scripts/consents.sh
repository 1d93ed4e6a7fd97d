GRAPH_ID=$(az ad sp show --id 00000003-0000-0000-c000-000000000000 --query id --output tsv)
CONSENTS=$(az rest --method get --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" \
  --query "value[?resourceId=='$GRAPH_ID'].id" --output tsv)
