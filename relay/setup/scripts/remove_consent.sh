for ONE in $CONSENTS; do
  set_note Removed "$(date +%s)"
  az rest --method delete --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments/$ONE"
done
