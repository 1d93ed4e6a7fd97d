# What one part leaves for the next: IDs and times, nothing secret. It lets a part run again alone, and a wait go on where it was.
note() {
  if [ -f "$NOTES" ]; then
    tr -d '\r' <"$NOTES" | sed -n "s/^$1=//p"
  fi
}
set_note() {
  { grep -v "^$1=" "$NOTES" || true; echo "$1=$2"; } >"$WORK/notes"
  cat "$WORK/notes" >"$NOTES"
}
# A wait whose begin is known lasts as long as it must, whatever SKIP_WAIT says.
wait_since() {
  LEFT=$(($2 * 60))
  SINCE=$(note "$1")
  if [ -n "$SINCE" ]; then
    LEFT=$((SINCE + LEFT - $(date +%s)))
  elif [ -n "$SKIP_WAIT" ]; then
    LEFT=0
  fi
  if [ "$LEFT" -gt 0 ]; then
    echo "Waiting for $(((LEFT + 59) / 60)) minutes. If you stop here, run this again later: it waits for the rest only."
    sleep "$LEFT"
  fi
}
# What one service of Microsoft creates, another learns of some minutes later.
patiently() {
  for TRY in 1 2 3 4 5 6 7 8 9 10 11 12; do
    if "$@"; then
      return 0
    fi
    [ "$TRY" -lt 12 ] || return 1
    echo 'Not possible yet; trying again in 30 seconds.' >&2
    sleep 30
  done
}
