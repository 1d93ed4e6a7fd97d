for one in $CONSENTS; do
  az rest --method delete --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments/$one"
done
