/* The fencing protocol, as built: README.md says what is modelled, what is left out, and which source
 * file each part stands for. One process a leader, one a pod, one ZooKeeper. Between any two of their
 * steps any other may take any number of steps: that is what a pause, a slow network and a stopped
 * machine are. A request that was sent stays on its way for ever, and may arrive at any time, in any
 * order, twice or never. BUG names one deliberate fault (see run); none is defined in the real thing.
 */
#ifndef EPOCHS
#define EPOCHS 2 /* lock nodes that are ever made: each change of leader takes one */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* of one epoch */
#endif
#ifndef CRASHES
#define CRASHES 0 /* of pods' workers, in all */
#endif
#ifndef LEASES
#define LEASES 0 /* times that a pod loses ZooKeeper for longer than its lease, in all */
#endif
#ifndef SEQUENTIAL
#define SEQUENTIAL 0 /* 1: `sequential`; 0: all at once, with `full_shutdown` */
#endif

#define PODS 3
/* Pods that faults happen to. All at once, one pod is as good as another, so that the first stands for each. */
#if SEQUENTIAL
#define MAY_FAIL(p) true
#else
#define MAY_FAIL(p) ((p) == 0)
#endif
#define ALL 7 /* every pod */
#define BIT(p) (1 << (p))

/* A round of an epoch in one number, so that the newer one is the greater one. Round 0: none yet. */
#define BASE (ROUNDS + 1)
#define RID(e, n) ((e) * BASE + (n))
#define EPOCH(r) ((r) / BASE)
#define RIDS ((EPOCHS + 1) * BASE)

/* Phases, as fence_phase(); NONE: nothing that we know of. ok touches nothing and is left out. */
#define NONE 0
#define CHECK 1
#define OFF 2
#define ON 3
/* What a pod works at, or has in its queue: round and phase in one number, 0: nothing. */
#define JOB(r, ph) ((r) * 4 + (ph))
#define R(job) ((job) / 4)
#define PHASE(job) ((job) % 4)
#define IS_STEP(job) (PHASE(job) >= OFF) /* touches a workload */

/* ---- ZooKeeper ---- */
byte made;                  /* lock nodes so far: czxid of the last */
bool lock_node[EPOCHS + 1]; /* there */
byte leader_node;           /* RID in /leader: epoch, and the last round that touched anything; 0: none */
byte hash_node, snapshot_node;
byte registered;            /* pods whose node is there */

/* ---- the network: what was sent ---- */
byte sent_check[RIDS], sent_on[RIDS]; /* to these pods */
byte sent_off[RIDS];
byte asking[EPOCHS + 1];              /* JOB that the leader of this epoch waits for */
byte answers[EPOCHS + 1];             /* pods that agreed to it */

/* ---- pods ---- */
byte durable[PODS], durable_phase[PODS]; /* state directory: RID, and the phase that was begun */
byte applied[PODS];                      /* state directory: RID of what is in force */
byte mark[PODS], phase[PODS];            /* the same in memory */
byte busy[PODS], queue[PODS];
byte lease;                              /* pods heard by ZooKeeper within 2/3 of their session */
byte confirmed;                          /* pods that asked ZooKeeper for its epoch since they attached */
byte crashes, leases;

/* ---- what only the assertions know ---- */
byte accepted[PODS];   /* highest epoch that it answered a check of, or began a step of */
byte attached_at[PODS]; /* what /leader said when it attached last */
byte failed[RIDS];     /* pods whose step of this round failed */
byte newest, newest_listed; /* newest epoch that finished a check phase, and whom it lists */

#define LOWEST(e) (lock_node[e] && !lower(e))
#if EPOCHS <= 2
#define lower(e) ((e) > 1 && lock_node[1])
#else
#define lower(e) (((e) > 1 && lock_node[1]) || ((e) > 2 && lock_node[2]))
#endif

#define STEPPING(q) (busy[q] && IS_STEP(busy[q]))

/* S3: whoever writes /leader, /hash or /snapshot holds the lowest lock node there is, and a newer leader has
 * not written before. */
#define WRITES(e, n)                                                                                \
    assert(LOWEST(e));                                                                             \
    assert(leader_node <= RID(e, n));                                                              \
    assert(snapshot_node == hash_node);                                                            \
    leader_node = RID(e, n)

#ifdef BUG_UNFENCED_WRITE
#define MAY_WRITE(e) true
#else
#define MAY_WRITE(e) lock_node[e]
#endif

/* ---- a leader: leader/leader_fsm.c, leader.c, leader_walk.c, ledger.c, rollout.c ---- */

#define ASK(e, r, ph)                                                                              \
    asking[e] = JOB(r, ph);                                                                        \
    answers[e] = 0
#define ALL_AGREED ((answers[e] & listed) == listed)

/* In the order of seq, each when the one before is ready. */
#define ON_NEXT                                                                                    \
    do                                                                                             \
    :: p < PODS && !(listed & BIT(p)) -> p++                                                       \
    :: else -> break                                                                               \
    od;                                                                                            \
    if                                                                                             \
    :: p < PODS -> sent_on[RID(e, n)] = sent_on[RID(e, n)] | BIT(p); ASK(e, RID(e, n), ON)         \
    :: else -> ASK(e, NONE, NONE)                                                                  \
    fi

/* S2: when a newest epoch has been agreed to, none of its pods is at an older one's step. */
#define AT_OLDER_STEP(q) ((listed & BIT(q)) && STEPPING(q) && EPOCH(R(busy[q])) < e)

#ifdef BUG_SKIPPED_CHECK /* the last one need not have agreed */
#define MAY_TOUCH ((answers[e] | BIT(PODS - 1)) & listed == listed)
#else
#define MAY_TOUCH ALL_AGREED
#endif

proctype Leader(byte second) {
    byte e, n, listed, p;
stand:
    atomic { made < EPOCHS && made >= second -> made++; e = made; lock_node[e] = true };
#ifndef BUG_LEADS_BESIDE_ANOTHER
    if
    :: atomic { LOWEST(e) -> skip }
    :: atomic { !lock_node[e] -> goto gone }
    fi;
#endif
    /* ledger_load() */
    if
    :: d_step { MAY_WRITE(e) -> WRITES(e, 0) }
    :: atomic { !lock_node[e] -> goto gone }
    fi;
round:
    /* Refused, not answered, suspended: the round is over, wherever it was. */
    atomic { ASK(e, NONE, NONE); listed = 0; p = 0 };
    /* ledger_propose(), then check to every pod that is there. A record that comes between is told by the watch
     * before the write is answered, and the round starts over. */
    if
    :: d_step {
        MAY_WRITE(e) && n < ROUNDS && registered ->
        n++;
        listed = registered;
        WRITES(e, n);
        sent_check[RID(e, n)] = listed;
        ASK(e, RID(e, n), CHECK)
    }
    :: atomic { !lock_node[e] -> goto gone }
    fi;
    if
    :: d_step {
        MAY_TOUCH ->
        assert(ALL_AGREED); /* S4 */
        if
        :: e >= newest ->
            assert(!AT_OLDER_STEP(0) && !AT_OLDER_STEP(1) && !AT_OLDER_STEP(2));
            newest = e;
            newest_listed = listed
        :: else
        fi;
        ASK(e, NONE, NONE)
    }
    :: goto round
    fi;
    /* ledger_mark(): the last fenced write before anything is touched */
    if
    :: d_step {
        MAY_WRITE(e) ->
        WRITES(e, n);
#if SEQUENTIAL
        ON_NEXT
#else
        sent_off[RID(e, n)] = listed;
        ASK(e, RID(e, n), OFF)
#endif
    }
    :: atomic { !lock_node[e] -> goto gone }
    :: goto round
    fi;
#if SEQUENTIAL
    do
    :: d_step { p < PODS && (answers[e] & BIT(p)) -> p++; ON_NEXT }
#ifdef BUG_SECOND_BEFORE_FIRST_IS_READY
    :: d_step { p < PODS -> p++; ON_NEXT }
#endif
#ifdef BUG_GOES_ON_AFTER_FAILURE
    :: d_step { p < PODS && (failed[RID(e, n)] & BIT(p)) -> p++; ON_NEXT }
#endif
    :: p == PODS -> break
    :: p < PODS -> goto round
    od;
#else
    if
    :: d_step { ALL_AGREED -> sent_on[RID(e, n)] = listed; ASK(e, RID(e, n), ON) }
    :: goto round
    fi;
    if
    :: d_step { ALL_AGREED -> ASK(e, NONE, NONE) }
    :: goto round
    fi;
#endif
    /* ledger_commit() */
#ifdef BUG_TWO_WRITES
    if
    :: d_step { MAY_WRITE(e) -> WRITES(e, n); hash_node = RID(e, n) }
    :: atomic { !lock_node[e] -> goto gone }
    fi;
#endif
    if
    :: d_step { MAY_WRITE(e) -> WRITES(e, n); hash_node = RID(e, n); snapshot_node = RID(e, n) }
    :: atomic { !lock_node[e] -> goto gone }
    fi;
    goto round;
gone:
    /* It is told that its session is gone. */
    atomic { ASK(e, NONE, NONE); e = 0; n = 0; listed = 0; p = 0 };
    goto stand
}

/* ---- a pod: pod/fence.c, admit.c, ask.c; state/state.c ---- */

#ifdef BUG_EPOCH_IN_MEMORY /* a crash forgets it */
#define KEEP(p, r) skip
#else
#define KEEP(p, r)                                                                                 \
    durable[p] = (r);                                                                              \
    durable_phase[p] = NONE
#endif
#ifdef BUG_PHASE_IN_MEMORY
#define KEEP_PHASE(p) skip
#else
#define KEEP_PHASE(p) durable_phase[p] = OFF /* on may come again, it does nothing then; off may not */
#endif

/* raise() and drop_older() */
#define DROP_OLDER(p)                                                                              \
    if                                                                                             \
    :: queue[p] && EPOCH(R(queue[p])) < EPOCH(mark[p]) -> queue[p] = 0                             \
    :: else                                                                                        \
    fi
#define RAISE(p, r)                                                                                \
    mark[p] = (r);                                                                                 \
    phase[p] = NONE;                                                                               \
    KEEP(p, r);                                                                                    \
    DROP_OLDER(p)

/* Verdicts FENCE_RAISE and FENCE_PASS; the others change nothing. The same thing asked again attaches to the
 * first, or gets its recorded answer. */
#ifdef BUG_EPOCH_NOT_COMPARED
#define NEWER(p, r) ((r) != mark[p])
#define SAME(p, r) ((r) == mark[p])
#else
#define NEWER(p, r) ((r) > mark[p])
#define SAME(p, r) ((r) == mark[p])
#endif
#ifdef BUG_SAME_PHASE_TWICE
#define FORWARD(p, ph) true
#else
#define FORWARD(p, ph) ((ph) > phase[p])
#endif
#ifdef BUG_LEASE_NOT_ASKED /* it believes what it was told last */
#define ATTACHED(p) true
#else
#define ATTACHED(p) (lease & BIT(p))
#endif
#ifdef BUG_EPOCH_NOT_ASKED_FOR
#define CONFIRMED(p) true
#else
#define CONFIRMED(p) (confirmed & BIT(p))
#endif

#define REQUEST(to, r, ph)                                                                         \
    d_step {                                                                                       \
        ((to) & BIT(p)) && ATTACHED(p) && CONFIRMED(p) &&                                          \
            (NEWER(p, r) || (SAME(p, r) && FORWARD(p, ph) && !queue[p] && busy[p] != JOB(r, ph)))  \
            ->                                                                                     \
        if                                                                                         \
        :: NEWER(p, r) -> RAISE(p, r)                                                              \
        :: else                                                                                    \
        fi;                                                                                        \
        if                                                                                         \
        :: !queue[p] -> queue[p] = JOB(r, ph)                                                      \
        :: else                                                                                    \
        fi                                                                                         \
    }
#if SEQUENTIAL
#define REQUESTS(e, n)                                                                             \
    ::REQUEST(sent_check[RID(e, n)], RID(e, n), CHECK)                                             \
    ::REQUEST(sent_on[RID(e, n)], RID(e, n), ON)
#else
#define REQUESTS(e, n)                                                                             \
    ::REQUEST(sent_check[RID(e, n)], RID(e, n), CHECK)                                             \
    ::REQUEST(sent_off[RID(e, n)], RID(e, n), OFF)                                                 \
    ::REQUEST(sent_on[RID(e, n)], RID(e, n), ON)
#endif
#if ROUNDS == 1
#define ROUNDS_OF(e) REQUESTS(e, 1)
#elif ROUNDS == 2
#define ROUNDS_OF(e) REQUESTS(e, 1) REQUESTS(e, 2)
#endif

#define ANSWER(p, job)                                                                             \
    if                                                                                             \
    :: asking[EPOCH(R(job))] == (job) -> answers[EPOCH(R(job))] = answers[EPOCH(R(job))] | BIT(p)  \
    :: else                                                                                        \
    fi

/* Nothing is to be done for what is in force already: on_compare(). */
#define TOUCHES(p, job) (IS_STEP(job) && !(PHASE(job) == ON && applied[p] == R(job)))

/* What must hold whenever a workload begins to be touched. */
inline begin_checks(job) {
    /* S1: nothing of an older epoch than was accepted; and by phases, forward. */
    assert(EPOCH(R(job)) >= accepted[p]);
    assert(!(PHASE(job) == OFF && applied[p] == R(job)));
    /* S2: of the pods that the newest epoch lists; the others have a lease, and have not attached since a newer
     * leader was there. */
    assert(!(newest_listed & BIT(p)) || EPOCH(R(job)) >= newest);
    assert(lease & BIT(p));
    assert(R(job) >= attached_at[p]);
#if SEQUENTIAL
    /* S5: one at a time, and none after a failure. */
    assert(p == 0 || !(newest_listed & BIT(0)) || !STEPPING(0));
    assert(p == 1 || !(newest_listed & BIT(1)) || !STEPPING(1));
    assert(p == 2 || !(newest_listed & BIT(2)) || !STEPPING(2));
    assert((failed[R(job)] & (ALL ^ BIT(p))) == 0);
#endif
}

/* fence_still(): who was heard may have been overtaken while it waited. */
#ifdef BUG_NOT_JUDGED_AGAIN
#define STILL(p, job) true
#else
#define STILL(p, job) (ATTACHED(p) && CONFIRMED(p) && R(job) == mark[p] && PHASE(job) >= phase[p])
#endif

#ifdef BUG_CHECK_BESIDE_A_STEP /* answered although an older step goes on */
#define CHECKS_BESIDE(p) (STEPPING(p) && PHASE(queue[p]) == CHECK)
#else
#define CHECKS_BESIDE(p) false
#endif

proctype Pod(byte p) {
    byte job;
    do
        /* admit(): whoever is heard is put into the queue. */
        ROUNDS_OF(1)
#if EPOCHS > 1
        ROUNDS_OF(2)
#endif
#if EPOCHS > 2
        ROUNDS_OF(3)
#endif
    /* confirm(): what /leader says, once after each time that we attached */
    :: d_step {
        (lease & BIT(p)) && !CONFIRMED(p) ->
        confirmed = confirmed | BIT(p);
        if
        :: leader_node > mark[p] -> RAISE(p, leader_node)
        :: else
        fi
    }
    /* begin(): a check. It is answered at once, or never: the request may be lost, or refused. */
    :: d_step {
        ((!busy[p] && PHASE(queue[p]) == CHECK) || CHECKS_BESIDE(p)) && STILL(p, queue[p]) ->
        job = queue[p];
        queue[p] = 0;
        phase[p] = CHECK;
        if
        :: EPOCH(R(job)) > accepted[p] -> accepted[p] = EPOCH(R(job))
        :: else
        fi;
        ANSWER(p, job);
        job = 0
    }
    /* begin(): a step */
    :: d_step {
        !busy[p] && IS_STEP(queue[p]) && STILL(p, queue[p]) ->
        job = queue[p];
        queue[p] = 0;
        phase[p] = PHASE(job);
        if
        :: TOUCHES(p, job) ->
            begin_checks(job);
            if
            :: EPOCH(R(job)) > accepted[p] -> accepted[p] = EPOCH(R(job))
            :: else
            fi;
            busy[p] = job
        :: else -> ANSWER(p, job)
        fi;
        job = 0
    }
    /* Not begun within its budget, or without a lease: never begun. */
    :: d_step { queue[p] -> queue[p] = 0 }
    /* job_done() */
    :: d_step {
        busy[p] ->
        ANSWER(p, busy[p]);
        if
        :: PHASE(busy[p]) == ON ->
            applied[p] = R(busy[p]);
            failed[R(busy[p])] = failed[R(busy[p])] & (ALL ^ BIT(p));
            if
            :: durable[p] == R(busy[p]) -> KEEP_PHASE(p)
            :: else
            fi
        :: else -> applied[p] = 0
        fi;
        busy[p] = 0
    }
    :: d_step { busy[p] -> failed[R(busy[p])] = failed[R(busy[p])] | BIT(p); applied[p] = 0; busy[p] = 0 }
    /* The worker is killed, and another one knows what the state directory kept. */
    :: d_step {
        crashes < CRASHES && MAY_FAIL(p) ->
        crashes++;
        mark[p] = durable[p];
        phase[p] = durable_phase[p];
        if
        :: busy[p] -> applied[p] = 0
        :: else
        fi;
        busy[p] = 0;
        queue[p] = 0;
        lease = lease & (ALL ^ BIT(p));
        confirmed = confirmed & (ALL ^ BIT(p))
    }
    /* coordinator: attached again, in the old session or in a new one */
    :: d_step {
        !(lease & BIT(p)) ->
        lease = lease | BIT(p);
        registered = registered | BIT(p);
        confirmed = confirmed & (ALL ^ BIT(p));
        attached_at[p] = leader_node
    }
    od
}

/* ---- ZooKeeper: sessions end ---- */
proctype ZooKeeper() {
    do
    :: d_step { lock_node[1] -> lock_node[1] = false }
#if EPOCHS > 1
    :: d_step { lock_node[2] -> lock_node[2] = false }
#endif
#if EPOCHS > 2
    :: d_step { lock_node[3] -> lock_node[3] = false }
#endif
    /* Nothing is heard of a pod: its lease ends by its own clock, and its session only after that. */
    :: d_step { leases < LEASES && MAY_FAIL(0) && (lease & BIT(0)) -> leases++; lease = lease & (ALL ^ BIT(0)) }
    :: d_step { leases < LEASES && MAY_FAIL(1) && (lease & BIT(1)) -> leases++; lease = lease & (ALL ^ BIT(1)) }
    :: d_step { leases < LEASES && MAY_FAIL(2) && (lease & BIT(2)) -> leases++; lease = lease & (ALL ^ BIT(2)) }
    :: d_step { (registered & BIT(0)) && !(lease & BIT(0)) -> registered = registered & (ALL ^ BIT(0)) }
    :: d_step { (registered & BIT(1)) && !(lease & BIT(1)) -> registered = registered & (ALL ^ BIT(1)) }
    :: d_step { (registered & BIT(2)) && !(lease & BIT(2)) -> registered = registered & (ALL ^ BIT(2)) }
    od
}

init {
    d_step { registered = ALL; lease = ALL; confirmed = ALL };
    atomic {
        run ZooKeeper();
        run Pod(0);
        run Pod(1);
        run Pod(2);
        run Leader(0);
        run Leader(1)
    }
}
