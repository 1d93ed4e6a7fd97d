OBJECT_ID=$(patiently az ad app show --id "$APP_ID" --query id --output tsv)
set_note ObjectId "$OBJECT_ID"
