#!/bin/sh
# What a Redis server does at the turns of its pod's life: boot, ready, reload, look. Runs in the workload.
# others, a file that each round renders: `first` or `later`, then a line `address port` for each of the other pods.
set -u
etc=/usr/local/etc/redis
conf=/data/redis.conf # Redis rewrites it when a sentinel makes it a master or a replica: so it knows what it was, since when
known=/data/others    # how many others there were when it last ran
waiting=/tmp/waiting  # while it waits: `few` when not as many others are listed as there were then, else `all`
chosen=/tmp/chosen    # is there when `promote` was said to it meanwhile
patience=60           # seconds that a former master waits for the others: one of them may have been promoted later

say() {
    echo "server: $*"
}

listed() {
    sed 1d "$etc/others"
}

count_others() {
    listed | grep -c .
}

# A line for each of the others that answers. All are asked at once.
ask_others() {
    listed | {
        while read -r address port; do
            ask_one "$address" "$port" &
        done
        wait
    }
}

# What it does; how many words it says, which grow with its replicas; since when it is a master; its offset; where it is.
ask_one() { # address, port
    # shellcheck disable=SC2046 # a word each
    set -- "$1" "$2" $(printf 'role\nconfig get proc-title-template\n' | timeout 5 redis-cli -h "$1" -p "$2" 2>/dev/null)
    title=
    for title; do :; done
    case ${3:-}:$title in
    master:*) echo "leads $# ${title#since:} $4 $1 $2" ;;
    slave:waits:*) echo "waits $# ${title#waits:} 0 $1 $2" ;;
    slave:*) echo "follows $# 0 0 $1 $2" ;;
    esac
}

# `address port` of the master among them; of several the one that is followed most, then the one promoted last.
master_of() { # what they said
    echo "$1" | sed -n 's/^leads //p' | sort -k1,1n -k2,2n -k3,3n | tail -n 1 | cut -d ' ' -f 4-
}

# Does one of them come before us? Who was promoted later, and before a pod without data everybody who has some.
is_behind() { # what they said
    echo "$1" | awk -v since="$since" '
        $1 == "waits" && $3 > since || $1 == "follows" && since < 0 { n++ }
        END { exit !n }'
}

# While we wait: an empty server that tells the others since when we were a master. Nobody can take it for one, or make
# it one, and no client may take it for a server without his keys: pods, checks and sentinels have the words that they
# need, and whoever replicates is told to try later. Any other word is refused.
answer() {
    redis-server - >/dev/null <<EOF &
port 6379
protected-mode no
save ""
dir /tmp
logfile /dev/null
replicaof 127.0.0.1 1
replica-priority 0
user default on nopass resetchannels &__sentinel__:hello -@all +ping +role +info +config|get +subscribe +publish +psync
proc-title-template waits:$since
EOF
    answers=$!
    trap 'kill "$answers"; exit 143' TERM
}

seconds() { # of a clock that does not jump
    cut -d . -f 1 /proc/uptime
}

# One look at the others; true when it is known what to start as: a replica of $master, or, without one, the master.
decide() {
    found='' master=''
    [ ! -e "$chosen" ] || { since=$(date +%s) && return; }
    others=$(ask_others)
    found=$(master_of "$others")
    master=$found
    [ -z "$master" ] || return 0
    missing=few
    [ "$(count_others)" -lt "$(cat "$known" 2>/dev/null || echo 0)" ] || missing=
    echo "${missing:-all}" >"$waiting"
    # It will begin, or not be seen any more: from then on we wait for the rest.
    ! is_behind "$others" || began=$(seconds)
    waited=$(($(seconds) - began))
    if [ "$was" = replica ]; then
        # The sentinels promote one of those that run: as what it was, then.
        master=$(sed -n 's/^replicaof //Ip' "$conf")
        [ $waited -gt 10 ]
        return
    fi
    ! is_behind "$others" || return 1
    [ "$was" = master ] || [ "$(head -n 1 "$etc/others")" = first ] || return 1
    answered=$(echo "$others" | grep -c .)
    [ "$answered" -ge "$(count_others)" ] || missing=some
    [ -n "$missing" ] || return 0
    [ $waited -gt $patience ] || return 1
    # Whoever is missing has had his time, when there is somebody here to follow us: our own begins now.
    [ "$answered" = 0 ] || since=$(date +%s)
}

# Before it has what its master has, no sentinel may promote it: what it holds may be of yesterday.
promotable() {
    until redis-cli role 2>/dev/null | grep -qxE 'connected|master'; do sleep 1; done
    redis-cli config set replica-priority 100 >/dev/null
}

boot() {
    was=nothing since=-1
    if [ -s "$conf" ]; then
        was=master since=$(stat -c %Y "$conf")
        ! grep -qi '^replicaof ' "$conf" || { was=replica since=0; }
    fi
    answers=
    rm -f "$chosen"
    began=$(seconds)
    until decide; do
        [ -n "$answers" ] || answer
        say "no master yet"
        sleep 1
    done
    say "was $was, starts as ${master:+replica of }${master:-master}"
    [ -z "$master" ] || since=0
    [ "$since" -ge 0 ] || since=$(date +%s)
    {
        echo "include $etc/redis.conf"
        echo "proc-title-template since:$since"
        [ -z "$master" ] || echo "replicaof $master"
        [ -z "$found" ] || echo "replica-priority 0"
    } >"$conf.new"
    # A start makes nobody a later master than he was.
    [ -n "$master" ] || touch -d "@$since" "$conf.new"
    mv "$conf.new" "$conf"
    count_others >"$known"
    [ -z "$answers" ] || { kill "$answers" && wait "$answers"; }
    rm -f "$waiting"
    [ -z "$found" ] || promotable &
    exec docker-entrypoint.sh redis-server "$conf"
}

# Who waits for others that are not listed is ready: no round lists them before the one that it is in is complete.
ready() {
    [ "$(cat "$waiting" 2>/dev/null)" != few ] || exit 0
    role=$(redis-cli role) || exit 1
    case $(echo "$role" | head -n 1) in
    master) ;;
    slave) [ "$(echo "$role" | sed -n 4p)" = connected ] || { echo "does not follow its master yet"; exit 1; } ;;
    *) echo "$role" && exit 1 ;;
    esac
}

# Nothing of its role: that is the sentinels' alone.
reload() {
    [ ! -e "$waiting" ] || exit 0 # it starts with what is written then
    count_others >"$known"
    sed -n 's/^\(min-replicas-to-write\) \(.*\)/config set \1 \2/p' "$etc/redis.conf" | redis-cli
}

# The pod's metrics: what it is, who waits: for few or all; a replica's link to its master.
look() {
    waits=$(cat "$waiting" 2>/dev/null)
    # shellcheck disable=SC2046 # a word each
    set -- $(timeout 5 redis-cli role 2>/dev/null)
    case ${waits:-${1:-}} in
    few | all) echo "{\"role\": \"waits\", \"listed\": \"$waits\"}" ;;
    master) echo '{"role": "master"}' ;;
    slave) echo "{\"role\": \"replica\", \"master\": \"$2 $3\", \"master_link\": \"$4\"}" ;;
    *) echo '{"role": "none"}' ;; # it starts, or loads its data
    esac
}

# By hand. Who waits begins then; it takes no such word before. It is written down, as when a sentinel does it: a start
# finds a master, and since when.
promote() {
    [ ! -e "$waiting" ] || : >"$chosen"
    tries=0
    until said=$(redis-cli -e replicaof no one 2>&1); do
        tries=$((tries + 1))
        [ $tries -lt 20 ] || { echo "no master yet: $said" && exit 1; }
        sleep 1
    done
    redis-cli -e config rewrite
}

case ${1:-} in
boot | ready | reload | look | promote) "$1" ;;
*) echo "server: boot, ready, reload, look or promote?" >&2 && exit 2 ;;
esac
