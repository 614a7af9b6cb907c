#!/bin/bash
# What a RabbitMQ node does at the turns of its pod's life: boot, ready, look, stop, force-boot. Runs in the workload.
# peers, a file that each round renders: `how node address`, how being `self`, `joined` (a member), `before` (not yet
# one, but to be one before us) or `new`.
set -u
data=/var/lib/rabbitmq
mark=$data/.member # names this node from when it is a member: what it holds is worth keeping
away=$data/.away   # a file for each member that has no pod, as old as its absence
join=/etc/rabbitmq/conf.d/30-join.conf
peers=/etc/rabbitmq/peers
me=$RABBITMQ_NODENAME
starts_within=180 # seconds for a newcomer's server, from its start to its listener

say() {
    echo "member: $*"
}

ctl() {
    timeout 120 rabbitmqctl -q "$@"
}

opens() { # address, port
    timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}

peers_that() { # how...: `node address` of those
    local how node address
    while read -r how node address; do
        [[ " $* " != *" $how "* ]] || echo "$node $address"
    done <"$peers"
}

listed() { # key, a status: the nodes under that key
    tr -d ' \n"' <<<"$2" | sed -n "s/.*[{,]$1:\[\([^]]*\)\].*/\1/p" | tr ',' '\n' | grep .
}

# The first of these peers that serves and answers; sets `asked` and `status`.
ask() { # how...
    local node address
    while read -r node address; do
        opens "$address" 5672 || continue
        status=$(ctl -n "$node" cluster_status --formatter json) && asked=$node && return 0
    done < <(peers_that "$@")
    return 1
}

is_member() {
    listed disk_nodes "$status" | grep -qx "$me"
}

# ---- boot ----

member() {
    [ "$(cat "$mark" 2>/dev/null)" = "$me" ]
}

# A volume may have been another node's, as when a pod's state was lost and its data was not. Nothing of it fits this
# name; nothing of it is thrown away.
check_whose() {
    local whose
    [ -e "$mark" ] && ! member || return 0
    whose=$(cat "$mark")
    say "the data here is of ${whose:-another node}: it is put aside, this node is a new one"
    rm -f "$mark"
    [ ! -e "$data/mnesia" ] || mv "$data/mnesia" "$data/mnesia.${whose:-other}.$(date +%s)"
}

# A member that the others forgot while it was away starts over, as a newcomer. Nobody there to ask: they are as we are.
check_forgotten() {
    if ask joined && ! is_member; then
        say "$asked has forgotten this node: its data is put aside, it joins anew"
        rm -rf "$data/mnesia.forgotten" "$mark"
        mv "$data/mnesia" "$data/mnesia.forgotten"
    fi
}

# Waits for a member to join: a node that started alone would be a second cluster. The first of all has nobody to wait for.
prepare_to_join() {
    local how
    rm -rf "$data/mnesia" # of an attempt that did not end
    how=joined
    [ -n "$(peers_that joined)" ] || how=before
    [ -n "$(peers_that $how)" ] || { say "the first node"; return; }
    until ask $how; do
        say "no member serves yet"
        sleep 2
    done
    # They know us from an attempt that did not end.
    ! is_member || ctl -n "$asked" forget_cluster_node "$me"
    say "joins $asked"
    {
        echo "cluster_formation.classic_config.nodes.1 = $asked"
        echo "cluster_formation.classic_config.nodes.2 = $me"
    } >"$join"
}

# Erlang's name server can hang for ever in a node that joins a busy cluster, and the node with it. No rabbitmqctl ends
# that. The server goes, with it the container, and the pod starts again.
give_up() {
    local file name
    say "not started within $starts_within s: ends, to try again"
    for file in /proc/[0-9]*/comm; do
        read -r name 2>/dev/null <"$file" && [ "$name" = beam.smp ] && file=${file%/comm} && kill -KILL "${file#/proc/}"
    done
}

# In the background, while the server starts.
become_member() { # whom it joined, or nothing
    local until=$((SECONDS + starts_within))
    # The listener is the last thing to start. A rabbitmqctl would cost as much as the node itself.
    until opens 127.0.0.1 5672; do
        [ $SECONDS -lt $until ] || { give_up; return; }
        sleep 1
    done
    if [ -n "$1" ]; then
        until status=$(ctl cluster_status --formatter json); do
            sleep 1
        done
        if ! listed disk_nodes "$status" | grep -qx "$1"; then
            say "started without $1: stops, to try again"
            rabbitmqctl stop
            return
        fi
        # Queues that have replicas get one more.
        timeout 120 rabbitmq-queues -q grow "$me" all
    fi
    echo "$me" >"$mark"
    say "is a member"
}

boot() {
    asked=''
    rm -f "$join"
    check_whose
    ! member || check_forgotten
    if ! member; then
        asked=''
        prepare_to_join
        become_member "$asked" &
    fi
    exec docker-entrypoint.sh rabbitmq-server
}

# ---- ready ----

# A member that serves; or one that was, has started, and waits for those that stopped after it, while nobody serves:
# were it not ready, the next in the row would never be started.
ready() {
    local node address
    member || { echo "not a member yet"; exit 1; }
    ! opens 127.0.0.1 5672 || exit 0
    opens 127.0.0.1 25672 || { echo "starting"; exit 1; }
    while read -r node address; do
        ! opens "$address" 5672 || { echo "not serving, but $node is"; exit 1; }
    done < <(peers_that joined before new)
    say "waits for the nodes that stopped after this one"
}

# ---- look ----

json_list() {
    local first=1 word
    for word in "$@"; do
        [ $first = 1 ] || printf ,
        printf '"%s"' "$word"
        first=0
    done
}

# A member without a pod, that does not run either, is forgotten after a while. The first pod that serves does it.
look() {
    local node address after members running gone=()
    opens 127.0.0.1 5672 || { echo '{"serving": false}'; exit 0; }
    while read -r node address; do
        [ "$node" != "$me" ] || break
        ! opens "$address" 5672 || { echo '{"serving": true}'; exit 0; }
    done < <(peers_that self joined before new)
    status=$(ctl cluster_status --formatter json) || { echo "rabbitmqctl does not answer" >&2; exit 1; }
    members=$(listed disk_nodes "$status")
    running=$(listed running_nodes "$status")
    after=$(sed -n 's/^forget-after //p' "$peers")
    mkdir -p "$away"
    for node in $members; do
        if peers_that self joined before new | grep -q "^$node " || grep -qx "$node" <<<"$running"; then
            rm -f "$away/$node"
            continue
        fi
        gone+=("$node")
        [ -e "$away/$node" ] || touch "$away/$node"
    done
    # shellcheck disable=SC2086 # a word each
    printf '{"serving": true, "members": [%s], "running": [%s], "away": [%s]}\n' \
        "$(json_list $members)" "$(json_list $running)" "$(json_list ${gone[@]+"${gone[@]}"})"
    for node in ${gone[@]+"${gone[@]}"}; do
        [ $(($(date +%s) - $(stat -c %Y "$away/$node"))) -ge "$after" ] || continue
        timeout 120 rabbitmq-queues -q shrink "$node" >&2
        ctl forget_cluster_node "$node" >&2 && rm -f "$away/$node"
    done
}

# ---- stop ----

stop() {
    # What it leads goes to others first.
    timeout 10 rabbitmq-upgrade -q drain
    rabbitmqctl -q stop
}

case ${1:-} in
boot) boot ;;
ready) ready ;;
look) look ;;
stop) stop ;;
force-boot) ctl force_boot && rabbitmqctl -q stop ;;
*) echo "member: boot, ready, look, stop or force-boot?" >&2 && exit 2 ;;
esac
