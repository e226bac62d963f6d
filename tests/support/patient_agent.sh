#!/bin/sh
# Usage: sh patient_agent.sh python
# An agent that stays at work until it is ended when its prompt asks it to take its time, and fails half-way
# when its prompt asks it to fail without a note that is not there; else the practice agent, which `python` runs.
prompt=$(cat)
case $prompt in
*"take your time"*)
    echo "unfinished work" >>Inbox.md
    exec sleep 1000
    ;;
"fail without "*)
    note=$(printf '%s\n' "$prompt" | sed -n 's/^fail without //p')
    if ! [ -e "$note" ]; then
        echo "unfinished work" >>Inbox.md
        echo "not yet" >&2
        exit 1
    fi
    ;;
esac
exec "$1" -m vaultloop practice <<END
$prompt
END
