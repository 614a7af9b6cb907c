#!/bin/bash
# Reads the passwords from their files, which only root need be able to read, gives the data's directory to postgres,
# becomes postgres and runs the command. Patroni takes the passwords out of its environment before it starts anything.
set -e

for name in "${!PATRONI_@}"; do
    [[ $name == *_FILE ]] || continue
    if [ ! -r "${!name}" ]; then
        echo "docker-entrypoint.sh: $name names '${!name}', which cannot be read" >&2
        exit 1
    fi
    export "${name%_FILE}=$(<"${!name}")"
    unset "$name"
done

if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres /var/lib/postgresql/data
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
fi
exec "$@"
