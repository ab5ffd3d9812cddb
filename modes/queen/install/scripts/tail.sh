# Prints the last lines of a log. $1: the log.
tail -n 6 "$1" 2>/dev/null | cut -c 1-400
