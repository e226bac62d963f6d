#!/bin/sh
# Usage: sh patient_agent.sh python
# An agent that stays at work until it is ended when its prompt asks it to take its time; else the practice
# agent, which `python` runs.
prompt=$(cat)
case $prompt in
*"take your time"*)
    echo "unfinished work" >>Inbox.md
    exec sleep 1000
    ;;
esac
exec "$1" -m vaultloop practice <<END
$prompt
END
