// What the files of this folder share: the pod, and a run of steps. The pod has two lanes. The
// request lane (ask.c) takes one request at a time and walks its table of steps (check.c, on.c,
// off.c). The workload lane is the table of pod_fsm.c: look, launch and halt are its effects, each
// a run of steps too. A request that wants the workload up or down wishes it and waits for the
// state to fit; a crash needs no request. Every run owns what it has in flight and cancels it.
#pragma once
#include "base/list.h"
#include "base/text.h"
#include "sidecar/pod/backoff.h"
#include "sidecar/pod/fence.h"
#include "sidecar/pod/mounts.h"
#include "sidecar/pod/place.h"
#include "sidecar/pod/pod.h"
#include "sidecar/pod/pod_fsm.h"

enum {
    PHASES = 4,         // check off on ok
    EVENTS_MAX = 8,     // events named while another one is being carried out
    LOOK_AGAIN_MS = 50, // inspect lags behind the die event
};

// ---- a run of steps (run.c) ----

struct run;
struct step {
    const char *name;
    void (*fn)(struct run *run); // ends, now or later, in run_next, run_skip or run_fail
};

// What of the holder a run waits for, holder.c: its id, or that it runs.
enum awaits { AWAITS_NOTHING, AWAITS_HOLDER_ID, AWAITS_HOLDER };

struct run {
    struct pod *pod;
    const struct step *steps; // ends with a NULL name; NULL: nothing runs
    size_t at;
    void (*done)(struct run *run, const struct err *err); // steps is NULL again when it runs
    struct docker_call *call;
    struct docker_stream *stream;
    struct runner_job *job;
    struct loop_timer *timer;
    struct action *action;
    struct oneshot *oneshot;
    struct referring *referring; // refer.c
    enum awaits awaits;
    int tries;
    void (*adopted)(struct run *run, struct docker_container *c, const struct err *err);
};

void run_start(struct run *run, struct pod *pod, const struct step *steps,
               void (*done)(struct run *run, const struct err *err));
void run_next(struct run *run);
void run_skip(struct run *run, const char *name); // goes on with the step of that name
void run_fail(struct run *run, const struct err *err);
void run_cancel(struct run *run); // what is in flight is let go of; done is not called
// Goes on, or fails, as err says: the tail of most callbacks.
void run_step_over(struct run *run, const struct err *err);

// ---- actions: hooks, tools, validators, checks by exec (action.c) ----

struct action;
struct action_want {
    const struct spec_action *action;
    const char *name;       // for OCHOPOD_HOOK and messages
    const json_t *input;    // on stdin as JSON; NULL: none
    const char *text;       // on stdin as it is, when there is no input
    const char *const *env; // beside OCHOPOD_*, NULL-ended, or NULL
    const char *cwd;        // of a run action, or NULL
    char *const *argv;      // instead of the action's, or NULL
    int64_t timeout;        // instead of the action's, or 0
};
struct action_result {
    int code;
    const char *out, *err; // borrowed until the callback returns
};
// err: it could not be run, or its time was over (then it is really ended). Comes once, never
// inside the call; the handle is gone then.
typedef void action_fn(const struct action_result *result, const struct err *err, void *arg);
struct action *action_start(struct pod *pod, const struct action_want *want, action_fn *fn,
                            void *arg);
void action_cancel(struct action **slot); // ends it; no callback after it; no-op on NULL
// ERR_REFUSED "<what>: exit 3: <last line it said>" for a code other than 0; what could not be run
// likewise.
int action_judge(const char *what, const struct action_result *result, const struct err *failure,
                 struct err *err) must_check;
// The same for an action of a run: goes on when it succeeds. Takes the hook; none: goes on.
void action_drop_foreign(struct pod *pod);
void action_hook(struct run *run, enum spec_hook hook, const json_t *input);

// ---- one attempt of a check (probe.c) ----

struct probe;
enum probe_verdict { PROBE_GOOD, PROBE_BAD, PROBE_UNSEEN }; // unseen: nobody could look
typedef void probe_fn(enum probe_verdict verdict, const char *why, void *arg); // why: not good
struct probe *probe_start(struct pod *pod, const struct spec_check *check, int64_t timeout,
                          probe_fn *fn, void *arg);
void probe_cancel(struct probe **slot);

// ---- a body and what was made of it (proposal.c) ----

struct proposal {
    char digest[65]; // of the body as sent
    struct cluster *cluster;
    char *key, *hash;
    json_t *view;
    json_t *rendering; // of render_start
    json_t *staged;    // of render_stage
    json_t *applied;   // what state keeps of it
    json_t *body;      // of the container it wants, launch only
    char plain[65];    // proposal_plain before the configure hook spoke; "" it has not
    bool checked;      // all steps of check have passed
    bool files_changed, container_changed, dependencies_changed;
};
int proposal_read(struct pod *pod, const char *body, size_t len, struct proposal **ret,
                  struct err *err) must_check;
// The same of a cluster, which it takes over; digest: of the body that meant it.
int proposal_make(struct pod *pod, struct cluster *c, const char *key, const char *hash,
                  const char *digest, struct proposal **ret, struct err *err) must_check;
void proposal_free(struct proposal *proposal); // takes NULL
// "needs 3 pods, has 2"
int proposal_needs(const struct spec *spec, const struct proposal *proposal,
                   struct err *err) must_check;
// The container it wants, launch only: body.
int proposal_shape(struct pod *pod, struct proposal *proposal, struct err *err) must_check;
// Works out body, applied and the three changes against what is in force.
bool proposal_is_changed(const struct proposal *proposal);
// A digest of all that the configure hook can make a container of; "" when there is no such hook.
int proposal_plain(struct pod *pod, const struct proposal *proposal, char ret[65],
                   struct err *err) must_check;
int proposal_compare(struct pod *pod, struct proposal *proposal, struct err *err) must_check;
void proposal_discard(struct pod *pod, struct proposal *proposal); // its staged files
void digest_text(const char *text, char ret[65]);

// ---- the same where the body only refers to it (refer.c) ----

void refer_body(struct run *run); // a step: job->proposal is what the body says or refers to
void refer_cancel(struct referring **slot); // no-op on NULL

// ---- requests (ask.c) ----

struct job {
    struct link link; // in pod->queue while it waits
    struct link asks; // who waits for its answer
    struct pod *pod;
    struct pod_request request; // its strings are copies
    char digest[65];            // of the body, "" none
    bool begun;
    struct run run;
    struct proposal *proposal;
    json_t *answer; // for the body
    size_t file;    // validated so far
    bool parked;    // configured, but not to be started
    bool anew;      // its files below no shared volume are to be put into the container
    bool restart;   // changed in a way that the running workload cannot be told
    bool told;      // it was left running, to be told
    struct tool *tool;
    struct witness_call *witness;
};

struct witness_call { // outlives its job: the answer cannot be called off
    struct link link;
    struct job *job;
    struct pod *pod;
    int attachment;
};

struct recorded {
    bool set;
    char digest[65];
    struct err err;
    json_t *answer;
};

static inline struct job *job_of(struct run *run) {
    return (struct job *)((char *)run - offsetof(struct job, run));
}

// Steps that check shares with on (check.c).
void check_engine(struct run *run);
void check_needs(struct run *run);
void check_can_configure(struct run *run);
void check_image(struct run *run);
void check_render(struct run *run);
void check_container(struct run *run);
void check_take(struct run *run);
void check_stage(struct run *run);

const struct step *check_script(void);
const struct step *on_script(void);
const struct step *off_script(void);
const struct step *ok_script(void);
const struct step *kill_script(void);
const struct step *signal_script(void);
const struct step *tool_script(void);
const struct step *leave_script(void);
void tool_free(struct tool *tool); // takes NULL; removes its folder

struct pod_ask *ask_job(struct pod *pod, struct job *job, int64_t budget_ms, bool *ret_first,
                        pod_reply_fn *fn, void *arg);
void ask_is_first(struct job *job); // pod_request.ret_first
struct job *job_create(struct pod *pod, const struct pod_request *request);
void job_free(struct job *job);
void ask_enqueue(struct pod *pod, struct job *job);
void ask_attach(struct pod_ask *ask, struct job *job);
struct pod_ask *ask_first(struct job *job); // NULL: nobody waits
void ask_answer_all(struct job *job, const json_t *answer, const struct err *err);
bool ask_is_buried(const struct job *job); // dead, and this does not wake it
void ask_say_dead(struct err *err);
void ask_say_detached(struct err *err);
void ask_say_overtaken(const struct pod *pod, struct err *err);
void ask_forget_recorded(struct pod *pod);               // admit.c
void ask_refuse(struct job *job, const struct err *err); // answered, and gone
void ask_run_tool(struct pod *pod, struct job *job);     // at once, beside the queue
void ask_close(struct pod *pod, const struct err *why);  // all waiting are answered; for the end
void ask_drop(struct pod *pod); // answers under way are dropped; for the very end

// ---- the pod ----

enum wish { WISH_NONE, WISH_KNOWN, WISH_UP, WISH_DOWN };

struct pod {
    struct loop *loop;
    struct pod_config config;
    const struct spec *spec;
    struct state *state;
    struct docker *docker;
    bool attached;
    int attachment, confirmed; // how often; and as of which ZooKeeper was asked for its epoch

    // where we stand
    struct place *place;
    struct mounts *mounts;
    char **roots;      // shared paths: of mounts, or with the adopted container
    struct err misfit; // what the spec wants of our mounts, or our network, cannot be

    // requests
    struct link queue;
    struct job *active;
    size_t held; // bytes of the bodies of all jobs
    struct link witnesses, answered;
    struct loop_timer *pump;
    int phase;
    struct recorded recorded[PHASES];
    struct proposal *checked; // by the last check that passed, until forget
    struct loop_timer *forget;
    struct runner_job *discard;

    // the workload's life
    enum pod_state at;
    enum pod_event_kind pending[EVENTS_MAX];
    size_t pending_len;
    bool firing;
    bool engine;       // reachable
    bool looked;       // what is true was asked once
    bool glanced;      // and before that, what runs
    bool recovered;    // a swap cut short was completed
    int recover_tries; // that failed
    bool live;         // no gap in the events since the present run was seen
    bool run_open;     // a die event is of the present run
    bool signalled;    // it was sent something that ends things
    bool start_lost;   // launch_is_lost, of the last start
    int half_starts;   // in a row: it may run though the engine says that it does not
    bool died_early;   // between the start call and its answer
    bool wanted;       // by the last accepted request
    bool configured;   // what is in force is of this sidecar's run
    bool stale;        // runs with what we cannot vouch for: the next round restarts it
    bool swapping;     // files are being exchanged: no start meanwhile
    bool launch_deferred;
    bool leaving, paused;
    enum wish wish;
    struct run *wish_run;
    bool wish_failed;
    struct err why; // of the last start or stop that failed
    struct run look, launch, halt, verify, orphans, holding;
    int look_tries;

    // its container
    char *config_digest;         // LABEL_CONFIG of state->container
    char *next_id, *next_digest; // created beside it, not started yet
    json_t *next_body;
    char former[65];     // what the pod's former sidecar left running, look.c
    char *holder;        // id, "" none
    bool holder_made;    // by the holding that goes on
    char *address;       // where its ports are; "" not known yet, of this run
    char *adopted_image; // id, of the container that was adopted; "" none
    json_t *plan;        // rendering in force, NULL after a restart of the worker
    json_t *view;        // the cluster as of it

    json_t *outside; // files in force below no shared root
    bool has_healthcheck, tty;
    int64_t leave_budget, leave_by; // when the sidecar itself stops: how long it has, until when
    bool torn_down;                 // the hook did it instead of a signal

    // its runs
    int64_t started_ms; // our clock
    bool exited, oom;
    int exit_code, restarts;
    struct backoff backoff;
    struct loop_timer *pause;
    int64_t pause_until, next_pause;

    // image.c
    struct docker_image *image;
    struct docker_call *image_call;
    struct loop_timer *image_retry;
    bool pulling;
    int pulled_percent;
    struct err image_err;
    int64_t image_pause;

    // health.c
    struct {
        bool on, ready;
        int fails;
        bool good; // the last check
        struct probe *probe;
        struct loop_timer *timer;
        struct docker_call *call;
        char why[240];
        struct run *waiter;
        struct loop_timer *waiter_timer;
        char docker_health[16];
    } health;

    // glance.c
    struct {
        struct loop_timer *timer;
        struct docker_call *call;
        enum pod_state at; // when it was asked
        bool doubted;      // by the last look
    } glance;

    // sanity.c
    json_t *metrics;
    struct action *sanity;
    struct loop_timer *sanity_timer;

    // logs.c
    struct docker_stream *logs;
    char logs_of[65];
    int64_t logs_ns;
    struct loop_timer *logs_retry;

    // orphans.c
    struct loop_timer *orphans_timer;
    json_t *orphan_list, *orphan_volumes; // volumes: name -> when due
    size_t orphan_at;

    struct link foreign; // actions that are not the pod's own
    struct link tools;   // jobs of tools, beside the queue
    struct run left_run;
    void (*left_done)(struct run *run, const struct err *err);
    void (*left)(const struct err *why, void *arg);
    void *left_arg;
    struct err left_why;
};

// pod.c
void pod_fire(struct pod *pod, enum pod_event_kind event);
void pod_changed(struct pod *pod);
bool pod_is_attached(const struct pod *pod);
struct fence_mark pod_mark(const struct pod *pod);
// The run goes on when the workload is so, or fails with why it cannot be.
void pod_wish(struct run *run, enum wish wish);
void pod_save(struct pod *pod);                                 // state_save; a failure is logged
void pod_unsaved(const struct pod *pod, const struct err *err); // that log line
bool pod_launches(const struct pod *pod);                       // image, not adopt
// Of a round that was completed, on or parked.
bool pod_is_member(const struct pod *pod);
void pod_swap_over(struct pod *pod);

// look.c
void look_begin(struct pod *pod);
void look_later(struct pod *pod); // instead of the one under way; inspect lags behind events
// A step: a swap that a crash cut short is completed, once, as soon as its folders are known.
void look_step_recover(struct run *run);
void look_set_container(struct pod *pod, const char *id, const char *digest);
bool look_is_applied(const struct pod *pod);  // the container is the one that was configured
bool look_lacks_files(const struct pod *pod); // it has not all of its files below no shared volume
// adopt.c: the step that finds the container the spec names, and refuses it when it cannot be ours
void adopt_find(struct run *run,
                void (*fn)(struct run *run, struct docker_container *c, const struct err *err));
// launch.c
void launch_begin(struct pod *pod);
void launch_drop_verify(struct pod *pod); // who was started is not looked at any more
// Of a start call: an engine that answered has not started it. One that was killed while it started
// it says from then on that its task exists already (500, as long as it runs): only another helps.
bool launch_is_lost(const struct err *err);
void launch_ask_for_round(struct pod *pod); // what runs, or should, is not what is in force
struct docker_file *outside_files(const json_t *files); // for the archive call; caller frees
void launch_step_outside(struct run *run);              // a step: files below no shared root
// holder.c
void holder_begin(struct pod *pod);  // ahead of whoever will need it; a failure is not one yet
void holder_ensure(struct run *run); // a step: the holder runs, or none is needed
void holder_name(struct run *run);   // a step: its id is known, it may still be starting
void holder_end(struct run *run);    // a step: what lives in its PID namespace ends with it
void holder_settle(struct run *run); // a step: it is not being made any more
// container.c
// Creates a container from body, named or beside the present one; the run goes on with its id kept
// in next_id.
void container_create(struct run *run, const json_t *body);
void container_take_next(struct run *run); // a step: removes the old one, renames the new one
void container_drop_next(struct run *run); // a step: a new one that nothing asks for any more
// halt.c
void halt_begin(struct pod *pod);
bool halt_was_begun(const struct pod *pod); // of the present run
// exit.c
void exit_die(struct pod *pod, int code);
void exit_note_signal(struct pod *pod, const char *signal);
void exit_name(struct pod *pod);
void exit_pause(struct pod *pod);
// health.c
void health_begin(struct pod *pod);
void health_end(struct pod *pod);
void health_docker(struct pod *pod, const char *status);
void health_await(struct run *run); // goes on when ready, fails when its time is over
void health_gone(struct pod *pod);  // a waiter is told that it died first
// glance.c
void glance_begin(struct pod *pod); // while the engine is reachable
void glance_heard(struct pod *pod); // an event of the container has come
void glance_end(struct pod *pod);
// sanity.c
void sanity_begin(struct pod *pod);
void sanity_end(struct pod *pod);
// logs.c
void logs_follow(struct pod *pod);
void logs_end(struct pod *pod);
// image.c
void image_look(struct pod *pod);
void image_missed(struct pod *pod, const struct err *err); // of a create: it may be another
void image_end(struct pod *pod);
int image_judge(const struct pod *pod, struct err *err) must_check; // there, or "pulling 43 %"
// orphans.c
void orphans_begin(struct pod *pod);
void orphans_end(struct pod *pod);
// info.c
void info_status(const struct pod *pod, struct text *t);
