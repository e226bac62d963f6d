#!/bin/sh
# Usage: sh patient_agent.sh python
# An agent that stays at work until it is ended when its prompt asks it to take its time, and fails half-way
# when its prompt asks it to fail until a file exists, which it makes; else the practice agent, which `python`
# runs.
prompt=$(cat)
case $prompt in
*"take your time"*)
    echo "unfinished work" >>Inbox.md
    exec sleep 1000
    ;;
"fail until "*)
    file=$(printf '%s\n' "$prompt" | sed -n 's/^fail until //p')
    if ! [ -e "$file" ]; then
        : >"$file"
        echo "unfinished work" >>Inbox.md
        echo "not yet" >&2
        exit 1
    fi
    ;;
esac
exec "$1" -m vaultloop practice <<END
$prompt
END
