if [ -z "$(note Tested)" ]; then
  echo 'The restriction has not passed its tests yet: run part 2 first.' >&2
  exit 1
fi
