#!/bin/bash
# What the official image's entrypoint does: root gives the data to the user and becomes that user.
set -e

if [[ "$1" == rabbitmq* ]] && [ "$(id -u)" = 0 ]; then
    [ "$1" != rabbitmq-server ] || find "$RABBITMQ_DATA_DIR" ! -user rabbitmq -exec chown rabbitmq {} +
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi

exec "$@"
