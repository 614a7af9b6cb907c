#!/bin/sh
# What the official image's entrypoint does: options and configuration files are redis-server's, root gives the data to
# the user and becomes that user, and what is written is the user's alone.
set -e

case $1 in
-* | *.conf) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi

[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
