#!/bin/sh
# What the container runs: looks that the engine can start here, then becomes it, so that it gets the signals.
#
# It clones nothing: the engine itself fetches VAULTLOOP_REMOTE into a bare repository in its state directory, or
# opens the one that is there; VAULTLOOP_FOLDER it opens where it lies. Every setting is checked by the engine.
# Here is only what goes wrong in containers: no vault named, a volume that belongs to somebody else, an engine
# that does not load.
set -eu

CONFIG=78    # a setting is wrong, as for every command
SOFTWARE=70  # this engine does not work

refuse() {
    code=$1
    shift
    printf 'entrypoint: %s\n' "$@" >&2
    exit "$code"
}

# A vault is named: by a variable, a flag, or in a settings file.
a_vault_is_named() {
    case ${VAULTLOOP_REMOTE:-}${VAULTLOOP_FOLDER:-}${VAULTLOOP_CONFIG:-} in *[![:space:]]*) return ;; esac
    [ -f vaultloop.toml ] || [ -f "$state/vaultloop.toml" ] || [ $# -gt 0 ]
}

# The directory $1 ($2 says which one) can be written; $3 is the cure.
require_writable() {
    [ -w "$1" ] || refuse "$CONFIG" \
        "$2 $1 cannot be written by user $me: it belongs to user $(stat -c %u "$1"), or is mounted read-only." "$3"
}

# Given a command of its own, the container runs that: docker run vaultloop sh, docker run vaultloop vaultloop check.
case ${1:-} in
'' | -*) ;;
*) exec "$@" ;;
esac

# A flag goes before the variable, as for the engine; `~` is the home directory, also where no shell has seen it.
state=${VAULTLOOP_STATE:-${XDG_STATE_HOME:-${HOME:-/}/.local/state}/vaultloop}
before=
for word; do
    case $before in --state) state=$word ;; esac
    case $word in --state=*) state=${word#--state=} ;; esac
    before=$word
done
case $state in \~ | \~/*) state=${HOME:-/}${state#'~'} ;; esac
folder=${VAULTLOOP_FOLDER:-}
case $folder in \~ | \~/*) folder=${HOME:-/}${folder#'~'} ;; esac

a_vault_is_named "$@" || refuse "$CONFIG" \
    'no vault is named. Set where it is:' \
    '  VAULTLOOP_REMOTE    the address of its git remote, such as https://git.example.org/me/vault.git, or' \
    '  VAULTLOOP_FOLDER    a folder that is mounted into this container.' \
    "Everything else has a default; the engine's own records lie in $state: mount a volume there."

me=$(id -u)
[ ! -e "$state" ] || [ -d "$state" ] || refuse "$CONFIG" \
    "the state directory $state is a file." 'Mount a volume in its place, or name another: VAULTLOOP_STATE.'
mkdir -p "$state" 2>/dev/null || refuse "$CONFIG" \
    "the state directory $state cannot be made by user $me." \
    'Mount a volume there that this user owns, or name another place: VAULTLOOP_STATE.'
its_owner="Give the volume to this user, chown -R $me:$(id -g), or start as its owner: docker run --user."
require_writable "$state" 'the state directory' "$its_owner"
# The engine closes it to others, which only its owner can.
owner=$(stat -c %u "$state")
[ "$me" -eq 0 ] || [ "$me" -eq "$owner" ] || refuse "$CONFIG" \
    "the state directory $state belongs to user $owner, and this is user $me." "$its_owner"
if [ -d "$folder" ]; then
    require_writable "$folder" 'the vault folder' \
        'Mount it writable, and start as its owner (docker run --user), who must own the state directory too.'
fi

# The safety gate, first half: this engine loads, or the one before it runs in its place, and tells its owner.
# The second half is the engine's own, on laptops too: a vault that does not load, or that makes the engine crash
# again and again, gives way to its last good revision.
loads='import vaultloop.daemon'
previous=${ENGINE_PREVIOUS:-/opt/vaultloop-previous}
if ! said=$(python -c "$loads" 2>&1); then
    "$previous/bin/python" -c "$loads" 2>/dev/null || refuse "$SOFTWARE" \
        'this engine does not load:' "$said" 'Build the image again, or go back to the one before.'
    reason=$(printf '%s' "$said" | tail -n 1)
    ENGINE_STANDS_IN="The newest engine does not load ($reason), so the one before it runs. Build the image again."
    export ENGINE_STANDS_IN
    printf 'entrypoint: %s\n' "$ENGINE_STANDS_IN" >&2
    # By its own interpreter: the programs beside it name the other one's.
    exec "$previous/bin/python" -m vaultloop up "$@"
fi

exec vaultloop up "$@"
