/* Who comes and goes: attach, detach, retire, and what that means for messages that wait. */
#include "broker/router_calls.h"
#include "common/close_code.h"
#include "common/identity.h"

static void put_evict(struct router *router, uint32_t slot, uint64_t session_id,
                      uint16_t close_code)
{
    struct link_record record = {.kind = LINK_EVICT};
    record.evict.session_id = session_id;
    record.evict.close_code = close_code;
    router_put(router, slot, &record);
}

void router_depart(struct router *router, struct session *session, uint64_t now_ms)
{
    struct user *user = session->user;
    uint8_t device[DEVICE_ID_MAX_BYTES];
    memcpy(device, session->device_id, session->device_id_len);
    struct slice device_id = slice_of(device, session->device_id_len);
    directory_remove(&router->directory, session);
    if (user->sessions == NULL) {
        holds_begin(&router->holds, user, HOLD_AWAY, now_ms);
    } else if (user->departed_legs > 0 && user->hold == NULL) {
        holds_begin(&router->holds, user, HOLD_SETTLING, now_ms);
    }
    router_calls_departed(router, user, device_id, now_ms);
    directory_release_user(&router->directory, user);
}

static void settle_user(struct router *router, struct user *user, uint64_t now_ms)
{
    if (user->hold == NULL || user->sessions == NULL) {
        return;
    }
    if (user->departed_legs == 0) {
        router_release(router, user->hold, now_ms);
    } else if (user->hold->state == HOLD_AWAY) {
        holds_begin(&router->holds, user, HOLD_SETTLING, now_ms);
    }
}

void router_settle(struct router *router, struct user *user, uint64_t now_ms)
{
    settle_user(router, user, now_ms); /* first: a call-start stands in front of what follows it */
    router_calls_settle(router, user, now_ms);
}

static bool is_same_device(const struct session *session, const struct link_attach *attach)
{
    return slice_equal(directory_user_id(session), attach->user_id) &&
           slice_equal(directory_device_id(session), attach->device_id);
}

/* A user's sessions are few: bounded here, where each device more makes every message to the user
 * dearer. The one that has been there longest leaves. */
static void evict_beyond_max(struct router *router, const struct user *user, uint64_t now_ms)
{
    struct session *oldest = NULL;
    uint64_t count = 0;
    struct session *session = directory_first_of_user(user);
    for (; session != NULL; session = directory_next_of_user(session)) {
        count++;
        if (oldest == NULL || session->since_ms <= oldest->since_ms) {
            oldest = session; /* on a tie the one that attached first: it comes last */
        }
    }
    if (count > router->config.devices_max) {
        put_evict(router, oldest->slot, oldest->id, CLOSE_REPLACED);
        router_depart(router, oldest, now_ms);
    }
}

void router_settle_all(struct router *router, uint64_t now_ms)
{
    struct hold *next = NULL;
    for (struct hold *hold = holds_first(&router->holds, HOLD_SETTLING); hold != NULL;
         hold = next) {
        next = hold->next;
        if (hold->leg == NULL) {
            settle_user(router, hold->user, now_ms);
        } else {
            router_calls_settle_leg(router, hold->leg, now_ms);
        }
    }
}

bool router_on_attach(struct router *router, const struct router_arrival *arrival)
{
    const struct link_attach *attach = &arrival->record->attach;
    const struct session *known =
        directory_find_session(&router->directory, arrival->slot, attach->session_id);
    if (known != NULL) {
        if (!is_same_device(known, attach)) {
            return false;
        }
        router_put_session(router, arrival->slot, LINK_ATTACHED, attach->session_id);
        return true;
    }
    struct session *rival =
        directory_find_device(&router->directory, attach->user_id, attach->device_id);
    if (rival != NULL && rival->since_ms > attach->since_ms) {
        put_evict(router, arrival->slot, attach->session_id, CLOSE_REPLACED);
        return true;
    }
    struct session *newcomer = directory_add(&router->directory, arrival->slot, attach);
    if (newcomer == NULL) {
        put_evict(router, arrival->slot, attach->session_id, CLOSE_GOING_AWAY);
        return true;
    }
    if (attach->was_attached) {
        newcomer->last_handed = router->last_number; /* it may have been handed anything */
    }
    struct user *user = newcomer->user;
    if (rival != NULL) {
        put_evict(router, rival->slot, rival->id, CLOSE_REPLACED);
        router_depart(router, rival, arrival->now_ms);
    }
    router_put_session(router, arrival->slot, LINK_ATTACHED, attach->session_id);
    evict_beyond_max(router, user, arrival->now_ms);
    /* One that is back after its link had ended can be the oldest itself. */
    if (directory_find_session(&router->directory, arrival->slot, attach->session_id) != NULL) {
        router_calls_attached(router, newcomer, arrival->now_ms);
    }
    router_settle(router, user, arrival->now_ms);
    return true;
}

/* Takes the session that the record names out. Where it is not there it was evicted, and the two
 * records met on the way. */
static void remove_named(struct router *router, const struct router_arrival *arrival)
{
    struct session *session = directory_find_session(&router->directory, arrival->slot,
                                                     arrival->record->session.session_id);
    if (session != NULL) {
        router_depart(router, session, arrival->now_ms);
    }
}

bool router_on_detach(struct router *router, const struct router_arrival *arrival)
{
    remove_named(router, arrival);
    return true;
}

bool router_on_retire(struct router *router, const struct router_arrival *arrival)
{
    remove_named(router, arrival);
    router_put_session(router, arrival->slot, LINK_RETIRED, arrival->record->session.session_id);
    return true;
}
