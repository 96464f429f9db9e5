#!/bin/sh
# Installs holdfast from this directory on a host with systemd that has no dpkg; run as root. Nothing is downloaded.
set -eu

#include ledger.sh
#include systemd.sh
#include purge.sh

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
INSTALLED=/usr/share/holdfast/installed-files

usage() {
  cat <<END
Usage: ./install.sh              installs version @VERSION@, or upgrades to it
       ./install.sh --uninstall  removes the program; the site stays
       ./install.sh --purge      removes the program, and asks whether to destroy the site
END
}

check_host() {
  [ "$(id -u)" = 0 ] || refuse "This must be run as root. Nothing was done."
  case "$(uname -m)" in
  @MACHINE@) ;;
  *) refuse "This is for @MACHINE@, the host is $(uname -m). Nothing was done." ;;
  esac
  for tool in systemd-sysusers systemd-tmpfiles setpriv sha256sum od stat mktemp find; do
    command -v "$tool" >/dev/null 2>&1 || refuse "This host has no $tool. Nothing was done."
  done
  if command -v dpkg-query >/dev/null 2>&1 && dpkg-query -S /usr/bin/holdfast >/dev/null 2>&1; then
    refuse "The Debian package is installed here; use that one. Nothing was done."
  fi
}

check_files() {
  (cd "$HERE" && sha256sum --quiet --strict -c SHA256SUMS) ||
    refuse "Files beside this script are not those that were packaged. Nothing was done. Get them anew."
}

files() { (cd "$HERE/files" && find . -type f | LC_ALL=C sort | cut -c 2-); }

# Each file is put beside its place and moved there, so that a power cut leaves the old one or the new one.
put() { # path
  case $1 in
  /etc/*)
    if [ -e "$1" ] && ! cmp -s "$HERE/files$1" "$1"; then
      say "$1 was changed here and stays; the new one is $1.new"
      cp "$HERE/files$1" "$1.new"
      return 0
    fi
    ;;
  esac
  mkdir -p "$(dirname "$1")"
  cp "$HERE/files$1" "$1.holdfast-new"
  chown 0:0 "$1.holdfast-new"
  case $1 in
  /usr/bin/*) chmod 0755 "$1.holdfast-new" ;;
  *) chmod 0644 "$1.holdfast-new" ;;
  esac
  sync "$1.holdfast-new"
  mv -f "$1.holdfast-new" "$1"
}

# remove_listed LIST: installed files that are (no longer) wanted. Lists are ours; what is not below /usr or /etc is left.
remove_listed() {
  while read -r path; do
    case $path in
    *..*) ;;
    /usr/* | /etc/*) rm -f -- "$path" ;;
    esac
  done <"$1"
}

install_files() {
  list=$(mktemp)
  gone=$(mktemp)
  { files && echo "$INSTALLED"; } >"$list"
  if [ -f "$INSTALLED" ]; then grep -vxFf "$list" "$INSTALLED" >"$gone" || true; fi
  files | while read -r path; do put "$path"; done
  remove_listed "$gone"
  mkdir -p "$(dirname "$INSTALLED")"
  cp "$list" "$INSTALLED"
  chmod 0644 "$INSTALLED"
  rm -f "$list" "$gone"
}

install_version() {
  check_files
  refuse_newer_ledger
  if [ -x /usr/bin/holdfast ]; then
    verify_ledger "before the upgrade" /usr/bin/holdfast ||
      refuse "Version @VERSION@ was not installed. Find out what is wrong first (holdfast ledger verify; docs/operate/upgrade.md). To install all the same: HOLDFAST_UPGRADE=unverified."
  fi
  install_files
  prepare_host
  verify_ledger "by version @VERSION@" /usr/bin/holdfast ||
    refuse "Version @VERSION@ is installed and was not started; what runs is still the version before. See docs/operate/upgrade.md."
  restart_roles
  say_next
}

uninstall() {
  [ -f "$INSTALLED" ] || refuse "No version was installed by this script. Nothing was done."
  stop_roles
  copy=$(mktemp)
  cp "$INSTALLED" "$copy"
  # Configuration goes with the site, not with the program.
  grep -v '^/etc/' "$copy" >"$copy.program" || true
  remove_listed "$copy.program"
  rm -f "$copy" "$copy.program"
  for dir in /usr/share/holdfast /usr/share/doc/holdfast; do
    if [ -d "$dir" ]; then find "$dir" -depth -type d -empty -delete; fi
  done
  reload_host
  if [ -f "$LEDGER" ]; then say "The site in $SITE was kept, with its ledger and keys."; fi
}

case "${1:-}" in
'')
  check_host
  install_version
  ;;
--uninstall)
  check_host
  uninstall
  ;;
--purge)
  check_host
  if [ -f "$INSTALLED" ]; then uninstall; fi
  destroy_site
  ;;
-h | --help) usage ;;
*)
  usage >&2
  exit 2
  ;;
esac
