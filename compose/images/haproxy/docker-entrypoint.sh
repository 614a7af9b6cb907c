#!/bin/sh
# What the official image's entrypoint does: options alone are haproxy's, and haproxy runs as master and worker (-W), so
# that USR2 reloads it, and in the foreground (-db).
set -e

if [ "${1#-}" != "$1" ]; then
    set -- haproxy "$@"
fi
if [ "$1" = haproxy ]; then
    shift
    set -- haproxy -W -db "$@"
fi
exec "$@"
