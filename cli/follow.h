// Following a change in Marathon to its end: until its deployment is over and the pods of its app
// are as they were asked for, or the time is over. What deploy, scale and bump share. Pods are
// looked at after 50 ms, then less and less often, at most four times a second.
#pragma once
#include "cli/marathon.h"
#include "cli/pods.h"
#include "cli/progress.h"
#include "cli/stop.h"

struct goal {
    const char *what;    // names it in lines for people and in JSON: a file, a pattern
    const char *cluster; // pattern of its pods
    const char *app;     // id in Marathon
    char *deployment;    // owned; NULL: none is known
    int control;         // the pods' control port
    int64_t pods;        // so many
    int64_t newer;       // only pods with a higher number count; -1: all of the app
    bool alone;          // they are in no ZooKeeper: Marathon says where they are
    bool strict;         // running, and ready where they say so; else being there is enough
    // How it went.
    bool settled;
    bool deploying; // when Marathon was last asked
    bool seen;      // the last look at its pods saw them, or that there are none
    int64_t *up;    // owned: the numbers of the pods that are as asked for
    size_t up_len;
    size_t there; // so many of them were found
    size_t dead;  // of these: done or ended for good
    size_t mute;  // are there, and gave no answer to how they are
    char *note;   // owned: what Marathon last said of the app's failures, or NULL
    struct err err;
};

struct follow {
    const struct cli_options *options;
    struct source *source;
    struct marathon *marathon;
    int64_t deadline; // loop_now
    struct progress progress;
    struct stop stop; // with follow_catch
    // Its own.
    int64_t least; // while what was killed waits for its change: Marathon has until then
    int64_t asked; // when Marathon was last asked how the apps are
};

// Opens pods and Marathon for a verb, which it is given -t (90 s when it says nothing: the grace of
// a spec that says nothing, a change, and some more). Answers an exit status; 0: go on. ret stays
// where it is until follow_close.
int follow_open(const struct cli_options *options, struct follow *ret) must_check;
void follow_close(struct follow *f);
// From now on SIGINT and SIGTERM end the waiting; a change that pods were killed for keeps its
// time.
void follow_catch(struct follow *f);
// Between a kill and follow_changed: without the change its pods stay dead, so it has time of its
// own, whatever the kill has left.
void follow_change(struct follow *f);
void follow_changed(struct follow *f);
// Before pods are read: that has the time that is left, and enough to see something.
void follow_look(struct follow *f);
// Each goal that has no error yet becomes settled or has one.
void follow_goals(struct follow *f, struct goal *goals, size_t n);
// One look more at the pods of one that has not settled.
void follow_again(struct follow *f, struct goal *goal);
void goal_done(struct goal *goal);
// The application of a pod's record is this app, whichever of them has its '/'.
bool goal_is_of(const struct pod_seen *pod, const char *app);

// The line "67% success" and so on is Ochothon's; the exit status is the one that all that failed
// share, else 1.
int follow_percent(const struct goal *goals, size_t n);
int follow_status(const struct goal *goals, size_t n);
// Says on stderr what went wrong with a goal, and what Marathon said to it in detail.
void follow_fail(struct follow *f, struct goal *goal);
