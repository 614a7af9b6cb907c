#!/bin/sh
# What a sentinel does at the turns of its pod's life: boot, look. Runs in the workload.
# pods, a file that each round renders: `quorum n`, `turn index size`, and the addresses of servers and sentinels.
set -u
etc=/usr/local/etc/redis
conf=/data/sentinel.conf # Sentinel rewrites it, and keeps in it what it knows
patience=90              # seconds that it waits for a master, longer than a server that was one waits for the others
waiting=/tmp/waiting     # is there while it does
wrong=/data/wrong        # what the last look found amiss: another master than ours, or a server that does not follow it

say() {
    echo "sentinel: $*"
}

seconds() { # of a clock that does not jump
    cut -d . -f 1 /proc/uptime
}

quorum() {
    sed -n 's/^quorum //p' "$etc/pods"
}

# What a server says it is. A master: how many words that takes, which grow with its replicas, since when it is one, its
# offset, and where it is. A replica: where it is, and of whom it is one. Who only waits is neither.
ask_role() { # address, port
    # shellcheck disable=SC2046 # a word each
    set -- "$1" "$2" $(printf 'role\nconfig get proc-title-template\n' | timeout 5 redis-cli -h "$1" -p "$2" 2>/dev/null)
    title=
    for title; do :; done
    case ${3:-}:$title in
    master:*) echo "$# ${title#since:} $4 master $1 $2" ;;
    slave:waits:*) ;;
    slave:*) echo "0 0 0 replica $1 $2 $4 $5" ;;
    esac
}

# A line for each server that answers; the last master is the one that is followed most, then the one promoted last. All
# are asked at once.
ask_roles() {
    sed -n 's/^server //p' "$etc/pods" | {
        while read -r address port; do
            ask_role "$address" "$port" &
        done
        wait
    } | sort -k1,1n -k2,2n -k3,3n
}

# `address port` of the masters among them.
masters() {
    sed -n 's/^.* master //p'
}

# `address port` of one among them that is neither that master nor a replica of it.
astray() { # "address port"
    awk -v is="$1" '$4 == "master" && $5 " " $6 != is || $4 == "replica" && $7 " " $8 != is { print $5, $6; exit }'
}

# ---- boot ----

# While it waits for a master anew: an empty server that answers PING, for no round tells where the servers are now before
# the one that it is in is complete.
answer() {
    redis-server --port 26379 --protected-mode no --save '' --dir /tmp --logfile /dev/null >/dev/null &
    answers=$!
    trap 'kill "$answers"; exit 143' TERM
    : >"$waiting"
}

# Its name, what it voted for and whom it knew outlive the container; its own address and the quorum are of now, and the
# master is whoever is one now. Nobody is: then whom it knew, for that is what it has to find a successor of. But not
# while the servers still find out which of them it is: the address it knew may be nobody's, or another's, by now.
boot() {
    known=$(sed -n 's/^sentinel monitor redis \([^ ]*\) \([^ ]*\) .*/\1 \2/p' "$conf" 2>/dev/null)
    rm -f "$waiting"
    began=$(seconds)
    until master=$(ask_roles | masters | tail -n 1) && [ -n "$master" ]; do
        if [ -n "$known" ] && [ $(($(seconds) - began)) -gt $patience ]; then
            master=$known
            break
        fi
        [ -z "$known" ] || [ -e "$waiting" ] || answer
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
    [ ! -e "$waiting" ] || { kill "$answers" && wait "$answers"; }
    rm -f "$wrong" "$waiting"
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

forget() { # address, port of a sentinel
    timeout 5 redis-cli -h "$1" -p "$2" sentinel remove redis </dev/null
}

watch() { # address, port of a sentinel, of the master
    {
        echo "sentinel monitor redis $3 $4 $(quorum)"
        options | sed 's/^/sentinel set redis /'
    } | timeout 5 redis-cli -h "$1" -p "$2"
}

every_sentinel() { # what to do with its address and port, words
    to=$1
    shift
    sed -n 's/^sentinel //p' "$etc/pods" | {
        while read -r address port; do
            "$to" "$address" "$port" "$@" &
        done
        wait
    }
}

# All of them at once: what one is told has the lowest epoch there is, and one that still knew the other master would take
# it back from the rest.
monitor() { # address, port
    every_sentinel forget
    every_sentinel watch "$1" "$2"
}

# Servers that were all created anew have each other's addresses, maybe: a sentinel would take a replica for the master
# that is down. And it never hears of a second master that no replica of the first ever was, nor of a replica of a
# replica. What is amiss twice in a row is put right: the sentinel is told of the master, the server whom to follow.
check_master() {
    has=$(ask sentinel get-master-addr-by-name redis | tr '\n' ' ')
    has=${has% }
    roles=$(ask_roles)
    masters=$(echo "$roles" | masters)
    is=$(echo "$masters" | tail -n 1)
    ! echo "$masters" | grep -qxF "$has" || is=$has
    stray=$(echo "$roles" | astray "$is")
    if [ -z "$is" ] || { [ "$is" = "$has" ] && [ -z "$stray" ]; }; then
        rm -f "$wrong"
    elif [ "$(cat "$wrong" 2>/dev/null)" != "$has, $is, $stray" ]; then
        echo "$has, $is, $stray" >"$wrong"
    elif [ "$is" != "$has" ]; then
        # shellcheck disable=SC2086
        monitor $is
        rm -f "$wrong"
    else
        follow "$stray" "$has"
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
    { [ ! -e "$waiting" ] && ask ping >/dev/null 2>&1; } || { echo '{"serving": false}'; exit 0; }
    check_master >&2
    ask sentinel set redis quorum "$(quorum)" >&2
    forget_stale
    printf '{"master": "%s", "is": "%s", "stale": %d}\n' "$has" "$is" "$gone"
}

case ${1:-} in
boot | look) "$1" ;;
*) echo "sentinel: boot or look?" >&2 && exit 2 ;;
esac
