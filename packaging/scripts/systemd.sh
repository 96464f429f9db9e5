# What runs on this host.

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

say_next() {
  if [ -f "$SITE/holdfast.json" ]; then return 0; fi
  cat <<END
holdfast: version @VERSION@ is installed; there is no site on this host yet. Next:
  holdfast init --dir $SITE --site NAME --profile node --root root.json     (or: --from a provisioning medium)
  systemctl enable --now holdfast.target
/usr/share/doc/holdfast/docs/operate/install.md tells the rest.
END
}
