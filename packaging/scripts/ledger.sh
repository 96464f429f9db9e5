# The ledger that is on this host, if there is one, and how these scripts speak.

SITE=/var/lib/holdfast
LEDGER=$SITE/state/ledger.sqlite
# Formats that this version reads and writes.
LEDGER_FORMAT=@LEDGER_FORMAT@
HEAD_FORMAT=@HEAD_FORMAT@

say() { printf 'holdfast: %s\n' "$*"; }

refuse() {
  printf 'holdfast: %s\n' "$*" >&2
  exit 1
}

# format_of FILE: the format that the file's header names (SQLite's user_version); nothing where there is no such file.
format_of() {
  [ -f "$1" ] || return 0
  # shellcheck disable=SC2046  # four numbers
  set -- $(od -An -tu1 -j60 -N4 "$1")
  [ $# = 4 ] || return 0
  echo $(((($1 * 256 + $2) * 256 + $3) * 256 + $4))
}

# A ledger that a newer version wrote on in its own way cannot be gone on with: not one byte of it is touched.
refuse_newer_ledger() {
  refuse_newer "$LEDGER" $LEDGER_FORMAT
  refuse_newer "$SITE/state/head.sqlite" $HEAD_FORMAT
}

refuse_newer() { # file format
  found=$(format_of "$1")
  if [ -n "$found" ] && [ "$found" -gt "$2" ]; then
    refuse "$1 has format $found; version @VERSION@ knows up to $2 and could not go on with it. Nothing was changed. Keep the version that wrote it, or install a newer one."
  fi
}

# as_owner PROGRAM ARGUMENT...: as the user whom the ledger belongs to, with nothing of this environment.
as_owner() {
  owner=$(stat -c %u "$SITE/state")
  group=$(stat -c %g "$SITE/state")
  groups=--clear-groups
  if id -un "$owner" >/dev/null 2>&1; then groups=--init-groups; fi
  # /tmp and /run may be mounted so that nothing in them is run; the program tries /tmp by itself where this does not do.
  native=$(mktemp -d /var/tmp/holdfast-XXXXXXXXXX)
  chown "$owner:$group" "$native"
  ended=0
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "HOLDFAST_NATIVE_DIR=$native" \
    setpriv "--reuid=$owner" "--regid=$group" "$groups" --no-new-privs "$@" </dev/null || ended=$?
  rm -rf "$native"
  return "$ended"
}

# verify_ledger WHEN PROGRAM: whether the ledger, if there is one, is as it was recorded. Reads every entry.
verify_ledger() {
  [ -f "$LEDGER" ] || return 0
  if [ "${HOLDFAST_UPGRADE:-}" = unverified ]; then
    say "The ledger is not verified $1: HOLDFAST_UPGRADE=unverified."
    return 0
  fi
  say "The ledger is verified $1."
  verified=0
  as_owner "$2" ledger verify --dir "$SITE" || verified=$?
  case $verified in
  # Intact; a torn tail after a crash, nothing acknowledged missing; the newest entries not yet under a checkpoint.
  0 | 11 | 12) return 0 ;;
  10 | 13 | 14) say "The ledger does NOT verify $1 (code $verified). Keep a copy of $SITE before anything else." >&2 ;;
  *) say "The ledger could not be verified $1 (code $verified)." >&2 ;;
  esac
  return 1
}
