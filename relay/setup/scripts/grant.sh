if [ -z "$(az rest --method get --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" \
  --query "value[?appRoleId=='@ID@'].id" --output tsv)" ]; then # @NAME@
  az rest --method post --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" --output none \
    --body "{\"principalId\":\"$SP_ID\",\"resourceId\":\"$GRAPH_ID\",\"appRoleId\":\"@ID@\"}"
fi
