# The end of a site.

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
  if [ -d $SITE ] && [ -n "$(find $SITE -type f -print -quit)" ] && ! may_destroy; then
    cat >&2 <<END
holdfast: $SITE holds a site, with its ledger and keys; all of it was kept.
  To keep it for good: holdfast backup FILE --to RECIPIENT (with holdfast installed), and carry the file elsewhere.
  To destroy it: run the purge once more with HOLDFAST_PURGE=yes in the environment.
END
    return 1
  fi
  for dir in $SITE /var/spool/holdfast /run/holdfast /run/holdfast-* /etc/holdfast; do
    [ -d "$dir" ] || continue
    # It may be a mount point: what is in it goes, the point stays.
    find "$dir" -xdev -mindepth 1 -delete
    rmdir "$dir" 2>/dev/null || true
  done
  rm -f /etc/systemd/system/*.wants/holdfast*.target /etc/systemd/system/*.wants/holdfast*.service \
    /etc/systemd/system/*.wants/holdfast*.socket
}
