#!/bin/sh
# What a Redis server does at the turns of its pod's life: boot, ready, reload. Runs in the workload.
# others, a file that each round renders: `first` or `later`, then a line `address port` for each of the other pods.
set -u
etc=/usr/local/etc/redis
conf=/data/redis.conf # Redis rewrites it when a sentinel makes it a master or a replica: so it knows what it was

say() {
    echo "server: $*"
}

# `address port` of the other pod that is a master; of several the one that is followed most. All are asked at once.
find_master() {
    sed 1d "$etc/others" | {
        while read -r address port; do
            ask_role "$address" "$port" &
        done
        wait
    } | sort -n | tail -n 1 | cut -d ' ' -f 3-
}

# Of a master: how many words it says, which grow with its replicas, its offset, and where it is.
ask_role() { # address, port
    # shellcheck disable=SC2046 # a word each
    set -- "$1" "$2" $(timeout 5 redis-cli -h "$1" -p "$2" role 2>/dev/null </dev/null)
    [ "${3:-}" != master ] || echo "$# $4 $1 $2"
}

boot() {
    was=nothing
    if [ -s "$conf" ]; then
        was=master
        grep -qi '^replicaof ' "$conf" && was=replica
    fi
    tries=0
    until master=$(find_master) && [ -n "$master" ]; do
        # A master that was not away long is the master still; and somebody has to begin.
        [ $was != master ] || break
        [ $was != nothing ] || [ "$(head -n 1 "$etc/others")" != first ] || break
        # The sentinels promote one of those that run: as what it was, then.
        tries=$((tries + 1))
        if [ $was = replica ] && [ $tries -gt 10 ]; then
            master=$(sed -n 's/^replicaof //Ip' "$conf")
            break
        fi
        say "no master yet"
        sleep 1
    done
    say "was $was, starts as ${master:+replica of }${master:-master}"
    {
        echo "include $etc/redis.conf"
        [ -z "$master" ] || echo "replicaof $master"
    } >"$conf"
    exec docker-entrypoint.sh redis-server "$conf"
}

ready() {
    role=$(redis-cli role) || exit 1
    case $(echo "$role" | head -n 1) in
    master) ;;
    slave) [ "$(echo "$role" | sed -n 4p)" = connected ] || { echo "does not follow its master yet"; exit 1; } ;;
    *) echo "$role" && exit 1 ;;
    esac
}

# Nothing of its role: that is the sentinels' alone.
reload() {
    sed -n 's/^\(min-replicas-to-write\) \(.*\)/config set \1 \2/p' "$etc/redis.conf" | redis-cli
}

case ${1:-} in
boot | ready | reload) "$1" ;;
*) echo "server: boot, ready or reload?" >&2 && exit 2 ;;
esac
