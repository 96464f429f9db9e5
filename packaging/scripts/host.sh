# What all scripts of an installation share: the ledger that is here, systemd, and the end of a site.

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

systemd_runs() { [ -d /run/systemd/system ]; }

# Users, directories and devices as the files of this version describe them.
prepare_host() {
  systemd-sysusers /usr/lib/sysusers.d/holdfast.conf
  systemd-tmpfiles --create /usr/lib/tmpfiles.d/holdfast.conf
  reload_host
}

reload_host() {
  systemd_runs || return 0
  systemctl daemon-reload
  if command -v udevadm >/dev/null 2>&1; then udevadm control --reload || true; fi
}

# An import that runs is left alone: it ends by itself.
running_roles() {
  systemctl list-units --plain --no-legend --state=active 'holdfast-*.service' |
    while read -r unit _; do
      case $unit in *@*) ;; *) echo "$unit" ;; esac
    done
}

restart_roles() {
  systemd_runs || return 0
  for unit in $(running_roles); do systemctl try-restart "$unit"; done
  # Units that are new in this version.
  if systemctl --quiet is-active holdfast.target; then systemctl start holdfast.target; fi
}

stop_roles() {
  systemd_runs || return 0
  systemctl stop holdfast.target 'holdfast-*.socket' 'holdfast-*.service' || true
}

# may_destroy: whether whoever sits here, or the environment, wants the ledger gone.
may_destroy() {
  [ "${HOLDFAST_PURGE:-}" != yes ] || return 0
  [ -t 0 ] && [ "${DEBIAN_FRONTEND:-}" != noninteractive ] || return 1
  name=$(sed -n 's/.*"site": *"\([^"]*\)".*/\1/p' "$SITE/holdfast.json" 2>/dev/null | head -n 1)
  printf 'This destroys the ledger, the keys and the policies of %s for good.\nType the name of the site to destroy it, anything else to keep it: ' "${name:-this site}"
  read -r answer || return 1
  [ -n "$name" ] && [ "$answer" = "$name" ]
}

# Everything that a site wrote on this host. A ledger is evidence: it does not go because somebody cleans up.
destroy_site() {
  if [ -f "$LEDGER" ] && ! may_destroy; then
    cat >&2 <<END
holdfast: $SITE has the ledger of a site; it and everything else of the site was kept.
  To keep it for good: holdfast backup FILE --to RECIPIENT (with holdfast installed), and carry the file elsewhere.
  To destroy it: run the purge once more with HOLDFAST_PURGE=yes in the environment.
END
    return 1
  fi
  for dir in $SITE /var/spool/holdfast /run/holdfast /etc/holdfast; do
    [ -d "$dir" ] || continue
    # It may be a mount point: what is in it goes, the point stays.
    find "$dir" -xdev -mindepth 1 -delete
    rmdir "$dir" 2>/dev/null || true
  done
  rm -f /etc/systemd/system/*.wants/holdfast*.target /etc/systemd/system/*.wants/holdfast*.service \
    /etc/systemd/system/*.wants/holdfast*.socket
}

say_next() {
  if [ -f "$SITE/holdfast.json" ]; then return 0; fi
  cat <<END
holdfast: version @VERSION@ is installed; there is no site on this host yet. Next:
  holdfast init --dir $SITE --site NAME --profile node --root root.json     (or: --from a provisioning medium)
  systemctl enable --now holdfast.target
/usr/share/doc/holdfast/docs/operate/install.md tells the rest.
END
}
