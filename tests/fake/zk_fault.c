// What may happen to a client.
#include "base/check.h"
#include "tests/fake/zk_inside.h"

void fake_zk_cut(struct zk *zk, int64_t ms) {
    zk->held = ms < 0;
    if (zk->closed || zk->state == ZK_LOST)
        return;
    if (zk->connected && !zk->stalled && !zk->frozen)
        zk->contact = loop_now(zk->loop) - zk_silence(zk);
    if (!zk->id) { // not yet there
        loop_timer_stop(&zk->reconnect);
        if (ms >= 0)
            loop_timer_start(zk->loop, &zk->reconnect, ms, fake_zk_try_connect, zk);
        return;
    }
    zk->connected = zk->stalled = false;
    loop_timer_stop(&zk->notice);
    fake_zk_session_unheard(zk->session);
    fake_zk_tell(zk, ZK_SUSPENDED, 0);
    fake_zk_fail_all(zk, &zk->inbound, RC_LOSS);
    fake_zk_fail_all(zk, &zk->outbound, RC_LOSS);
    int64_t left = zk->contact + zk->lost_after - loop_now(zk->loop);
    loop_timer_start(zk->loop, &zk->lost, left > 0 ? left : 0, fake_zk_on_lost, zk);
    if (ms >= 0)
        loop_timer_start(zk->loop, &zk->reconnect, ms, fake_zk_try_connect, zk);
}

void fake_zk_reconnect(struct zk *zk) {
    loop_timer_start(zk->loop, &zk->reconnect, RECONNECT_MS, fake_zk_try_connect, zk);
}

void fake_zk_mend(struct zk *zk) {
    zk->held = false;
    if (!zk->connected && zk->state != ZK_LOST)
        fake_zk_try_connect(zk);
}

void fake_zk_lose(struct zk *zk, enum fake_zk_loss when, int nth) {
    zk->lose_when = when;
    zk->lose_in = nth;
}

static void on_notice(void *arg) {
    fake_zk_cut(arg, -1);
}

void fake_zk_stall(struct zk *zk) {
    CHECK(zk->connected);
    int64_t silence = zk_silence(zk);
    zk->contact = loop_now(zk->loop) - silence;
    zk->stalled = true;
    fake_zk_session_unheard(zk->session);
    loop_timer_start(zk->loop, &zk->notice, zk->timeout * 2 / 3 - silence, on_notice, zk);
}

void fake_zk_freeze(struct zk *zk) {
    zk->contact = loop_now(zk->loop) - zk_silence(zk);
    zk->frozen = true;
    loop_timer_stop(&zk->clock);
    fake_zk_session_unheard(zk->session);
}

void fake_zk_thaw(struct zk *zk) {
    int64_t now = loop_now(zk->loop);
    zk->frozen = false;
    zk->since = now + 2 * zk->server->latency; // proven by the next answer, not before
    if (!zk->session)
        fake_zk_cut(zk, RECONNECT_MS);
    else
        loop_timer_stop(&zk->session->expiry);
    if (now - zk->contact >= zk->lost_after) {
        fake_zk_tell(zk, ZK_LOST, 0);
    } else if (zk->session && now - zk->contact >= zk->timeout * 2 / 3) {
        fake_zk_tell(zk, ZK_SUSPENDED, 0);
        fake_zk_tell(zk, ZK_CONNECTED, 2 * zk->server->latency);
    }
    fake_zk_arm(zk);
}

void fake_zk_crash(struct zk *zk) {
    zk->crashed = true;
    loop_timer_stop(&zk->clock);
    loop_timer_stop(&zk->sending);
    loop_timer_stop(&zk->reconnect);
    loop_timer_stop(&zk->lost);
    loop_timer_stop(&zk->notice);
    loop_timer_stop(&zk->reread);
    fake_zk_session_unheard(zk->session);
}

void fake_zk_expire(struct zk *zk) {
    if (zk->session)
        fake_zk_session_end(zk->session);
}

void fake_zk_bar(struct fake_zk *server, const char *path) {
    server->barred = path;
}

void fake_zk_hide(struct fake_zk *server, const char *path) {
    server->hidden = path;
}

void fake_zk_crowded(struct fake_zk *server, size_t n) {
    server->max_names = n;
}

void fake_zk_foreign(struct fake_zk *server, const char *path) {
    server->foreign = path;
}
