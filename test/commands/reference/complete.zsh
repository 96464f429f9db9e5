# What zsh offers for a line: a real zsh behind a pseudo-terminal is asked with the key Tab, and its matches are caught.
# Arguments: the script with the completion, the line, and a file for the matches.
zmodload zsh/zpty || exit 1
zpty shell "cd ${(q)PWD}; exec zsh -f -i"
zpty -w shell "source ${(q)${0:A:h}}/catch.zsh ${(q)1} ${(q)3}"
zpty -r shell text '*THE-SHELL-IS-READY*' || exit 1
zpty -n -w shell "$2"$'\t'
zpty -r shell text '*THE-MATCHES-ARE-CAUGHT*' || exit 1
zpty -d shell
sort -u "$3"
