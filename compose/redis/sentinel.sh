#!/bin/sh
# What a sentinel does at the turns of its pod's life: boot, look. Runs in the workload.
# pods, a file that each round renders: `quorum n`, `turn index size`, and the addresses of servers and sentinels.
set -u
etc=/usr/local/etc/redis
conf=/data/sentinel.conf # Sentinel rewrites it, and keeps in it what it knows
wrong=/data/wrong        # what the last look found amiss: another master than ours, or a second one

say() {
    echo "sentinel: $*"
}

quorum() {
    sed -n 's/^quorum //p' "$etc/pods"
}

# Of a master: how many words it says, which grow with its replicas, its offset, and where it is.
ask_role() { # address, port
    # shellcheck disable=SC2046 # a word each
    set -- "$1" "$2" $(timeout 5 redis-cli -h "$1" -p "$2" role 2>/dev/null </dev/null)
    [ "${3:-}" != master ] || echo "$# $4 $1 $2"
}

# `address port` of the servers that are a master, a line each; the last is the one that is followed most. All are asked
# at once.
find_masters() {
    sed -n 's/^server //p' "$etc/pods" | {
        while read -r address port; do
            ask_role "$address" "$port" &
        done
        wait
    } | sort -n | cut -d ' ' -f 3-
}

# ---- boot ----

# Its name, what it voted for and whom it knew outlive the container; its own address and the quorum are of now, and the
# master is whoever is one now. Nobody is: then whom it knew, for that is what it has to find a successor of.
boot() {
    known=$(sed -n 's/^sentinel monitor redis \([^ ]*\) \([^ ]*\) .*/\1 \2/p' "$conf" 2>/dev/null)
    until master=$(find_masters | tail -n 1) && [ -n "${master:=$known}" ]; do
        say "no master yet"
        sleep 1
    done
    keep='myid|current-epoch|config-epoch|leader-epoch'
    [ "$master" != "$known" ] || keep="$keep|known-replica|known-slave|known-sentinel"
    {
        echo "sentinel monitor redis $master $(quorum)"
        cat "$etc/sentinel.conf"
        grep -E "^sentinel ($keep) " "$conf" 2>/dev/null
    } >"$conf.new"
    mv "$conf.new" "$conf"
    rm -f "$wrong"
    say "watches $master"
    exec docker-entrypoint.sh redis-server "$conf" --sentinel
}

# ---- look ----

ask() {
    timeout 5 redis-cli -p 26379 "$@" </dev/null
}

options() { # of the monitored master, as in sentinel.conf
    sed -n 's/^sentinel \(down-after-milliseconds\|failover-timeout\|parallel-syncs\) redis \(.*\)/\1 \2/p' "$etc/sentinel.conf"
}

monitor() { # address, port
    ask sentinel remove redis
    ask sentinel monitor redis "$1" "$2" "$(quorum)"
    options | while read -r name value; do ask sentinel set redis "$name" "$value"; done
}

# Servers that were all created anew have each other's addresses, maybe: a sentinel would take a replica for the master
# that is down. And it never hears of a second master that no replica of the first ever was. What is amiss twice in a row
# is put right: the sentinel is told of the master, the second one that it is none.
check_master() {
    has=$(ask sentinel get-master-addr-by-name redis | tr '\n' ' ')
    has=${has% }
    masters=$(find_masters)
    is=$(echo "$masters" | tail -n 1)
    ! echo "$masters" | grep -qxF "$has" || is=$has
    second=$(echo "$masters" | grep -vxF "$is" | head -n 1)
    if [ -z "$is" ] || { [ "$is" = "$has" ] && [ -z "$second" ]; }; then
        rm -f "$wrong"
    elif [ "$(cat "$wrong" 2>/dev/null)" != "$has, $is, $second" ]; then
        echo "$has, $is, $second" >"$wrong"
    elif [ "$is" != "$has" ]; then
        # shellcheck disable=SC2086
        monitor $is
        rm -f "$wrong"
    else
        follow "$second" "$has"
        rm -f "$wrong"
    fi
}

follow() { # a server, its master
    # shellcheck disable=SC2086 # two words each
    set -- $1 $2
    timeout 5 redis-cli -h "$1" -p "$2" replicaof "$3" "$4" </dev/null
    timeout 5 redis-cli -h "$1" -p "$2" config rewrite </dev/null
}

# How many that are down, and have no pod, it still knows.
stale() {
    for kind in replicas sentinels; do
        ask sentinel $kind redis | awk '
            FNR == NR { pod[$2 " " $3] = 1; next }
            wanted != "" { value[wanted] = $0; wanted = "" ; next }
            { if ($0 == "name" && "ip" in value) check(); wanted = $0 }
            END { if ("ip" in value) check() }
            function check() {
                if (value["flags"] ~ /s_down/ && !((value["ip"] " " value["port"]) in pod)) print value["ip"]
                delete value
            }' "$etc/pods" -
    done | wc -l
}

# Sentinels never forget a replica or each other, and count those that are gone. One resets after the other, half a minute
# each: the rest knows on.
forget_stale() {
    gone=$(stale)
    read -r _ index size <<EOF
$(grep '^turn ' "$etc/pods")
EOF
    if [ "$gone" -gt 0 ] && [ $(($(date +%s) / 30 % size)) = "$index" ] && [ -n "$is" ] && [ "$is" = "$has" ]; then
        ask sentinel reset redis >&2
    fi
}

look() {
    ask ping >/dev/null 2>&1 || { echo '{"serving": false}'; exit 0; }
    check_master >&2
    ask sentinel set redis quorum "$(quorum)" >&2
    forget_stale
    printf '{"master": "%s", "is": "%s", "stale": %d}\n' "$has" "$is" "$gone"
}

case ${1:-} in
boot | look) "$1" ;;
*) echo "sentinel: boot or look?" >&2 && exit 2 ;;
esac
