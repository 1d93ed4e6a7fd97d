if [ -n "$CONSENTS" ]; then
  echo 'This app has organisation-wide consents for mail in Entra. With them nothing is restricted: remove them, or migrate with: graphrelay setup --migrate' >&2
  exit 1
fi
