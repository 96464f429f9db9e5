# Read by the shell that complete.zsh asks. Arguments: the script with the completion, and a file for the matches.
autoload -Uz compinit
compinit -u -D
source "$1"
caught=$2
: > "$caught"
# What completion functions add is written down beside being shown.
compadd() {
  local -a _added
  if (( ! ${@[(I)-O]} && ! ${@[(I)-A]} && ! ${@[(I)-D]} )); then
    builtin compadd -A _added "$@"
    (( $#_added )) && print -rl -- $_added >> "$caught"
  fi
  builtin compadd "$@"
}
catch-matches() { zle complete-word; print "THE-MATCHES"-ARE-CAUGHT; }
zle -N catch-matches
bindkey '^I' catch-matches
print "THE-SHELL-IS"-READY
