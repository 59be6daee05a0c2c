#include "broker/router_calls.h"

#include <assert.h>
#include <stdlib.h>

/* A notice with a userId and a callId whose every byte is escaped, or a leg's state. */
enum { SCRATCH_MAX_BYTES = 4096 };

void router_put(struct router *router, uint32_t slot_no, const struct link_record *record)
{
    struct slot *slot = &router->slots[slot_no];
    assert(slot->out != NULL);
    if (slot->is_stuck) {
        return;
    }
    link_record_put(slot->out, record);
    slot->is_stuck = slot->out->failed;
    slot->is_urgent = true;
}

void router_put_session(struct router *router, uint32_t slot, enum link_record_kind kind,
                        uint64_t session_id)
{
    struct link_record record = {.kind = kind};
    record.session.session_id = session_id;
    router_put(router, slot, &record);
}

struct router *router_new(const struct router_config *config, uint64_t now_ms)
{
    struct router *router = calloc(1, sizeof *router + config->slot_count * sizeof(struct slot));
    if (router == NULL) {
        return NULL;
    }
    router->config = *config;
    router->is_recovering = true;
    router->recovery_ends_ms = now_ms + config->recovery_ms;
    buffer_init(&router->scratch, SCRATCH_MAX_BYTES);
    struct calls_config calls_config = {
        .calls_max = config->calls_max,
        .user_max = config->calls_user_max,
    };
    struct holds_config holds_config = {
        .away_ms = config->hold_ms,
        .leg_away_ms = config->call_grace_ms,
        .users_max = config->hold_users_max,
        .messages_max = config->hold_messages_max,
    };
    if (!directory_init(&router->directory, config->slot_count, config->hash_key)) {
        goto fail_directory;
    }
    if (!calls_init(&router->calls, &router->directory, &calls_config, config->hash_key)) {
        goto fail_calls;
    }
    if (!transfers_init(&router->transfers, &router->directory, config->slot_count,
                        config->transfers_max, config->kept_max_bytes)) {
        goto fail_transfers;
    }
    holds_init(&router->holds, &router->transfers, &holds_config);
    return router;

fail_transfers:
    calls_fini(&router->calls);
fail_calls:
    directory_fini(&router->directory);
fail_directory:
    free(router);
    return NULL;
}

void router_free(struct router *router)
{
    if (router == NULL) {
        return;
    }
    holds_fini(&router->holds);
    transfers_fini(&router->transfers);
    calls_fini(&router->calls);
    buffer_fini(&router->scratch);
    directory_fini(&router->directory);
    free(router);
}

void router_link_up(struct router *router, uint32_t slot, struct buffer *out)
{
    assert(slot < router->config.slot_count && router->slots[slot].out == NULL);
    router->slots[slot] = (struct slot){.out = out};
}

void router_link_down(struct router *router, uint32_t slot, uint64_t now_ms)
{
    router->slots[slot] = (struct slot){0};
    transfers_end_slot(&router->transfers, slot);
    holds_end_slot(&router->holds, slot);
    struct session *session = NULL;
    while ((session = directory_first_of_slot(&router->directory, slot)) != NULL) {
        router_depart(router, session, now_ms);
    }
    router_answer_done(router, now_ms);
    router_settle_all(router, now_ms);
}

static void tell_ready(struct router *router, struct slot *slot, uint32_t slot_no)
{
    struct link_record record = {.kind = LINK_READY};
    router_put(router, slot_no, &record);
    slot->is_ready = true;
}

static bool all_are_synced(const struct router *router)
{
    uint32_t slot = 0;
    while (slot < router->config.slot_count && router->slots[slot].is_synced) {
        slot++;
    }
    return slot == router->config.slot_count;
}

/* From now on the directory counts as whole. */
static void end_recovery(struct router *router)
{
    router->is_recovering = false;
    for (uint32_t i = 0; i < router->config.slot_count; i++) {
        if (router->slots[i].is_synced) {
            tell_ready(router, &router->slots[i], i);
        }
    }
}

static bool on_hello(struct router *router, const struct router_arrival *arrival)
{
    const struct link_greeting *hello = &arrival->record->greeting;
    struct slot *slot = &router->slots[arrival->slot];
    if (slot->is_greeted || hello->version != LINK_VERSION) {
        return false;
    }
    slot->is_greeted = true;
    slot->instance_id = hello->instance_id;
    struct link_record welcome = {.kind = LINK_WELCOME};
    welcome.greeting.version = LINK_VERSION;
    welcome.greeting.instance_id = router->config.instance_id;
    router_put(router, arrival->slot, &welcome);
    return true;
}

static bool on_synced(struct router *router, const struct router_arrival *arrival)
{
    struct slot *slot = &router->slots[arrival->slot];
    if (slot->is_synced) {
        return false;
    }
    slot->is_synced = true;
    if (!router->is_recovering) {
        tell_ready(router, slot, arrival->slot);
    } else if (all_are_synced(router)) {
        end_recovery(router);
    }
    return true;
}

/* What a gateway may send; the kinds without a handler go the other way. */
static const router_handler_fn on_record[LINK_RECORD_KIND_COUNT] = {
    [LINK_HELLO] = on_hello,
    [LINK_ATTACH] = router_on_attach,
    [LINK_DETACH] = router_on_detach,
    [LINK_RETIRE] = router_on_retire,
    [LINK_SYNCED] = on_synced,
    [LINK_SUBMIT] = router_on_submit,
    [LINK_DELIVERY_OUTCOME] = router_on_delivery_outcome,
    [LINK_LEG] = router_on_leg,
};

bool router_receive(struct router *router, uint32_t slot, struct slice batch, uint64_t now_ms)
{
    assert(slot < router->config.slot_count && router->slots[slot].out != NULL);
    while (batch.len > 0) {
        struct link_record record;
        if (link_record_decode(&batch, &record) != PARSE_DONE) {
            return false;
        }
        struct router_arrival arrival = {.slot = slot, .now_ms = now_ms, .record = &record};
        router_handler_fn handler = on_record[record.kind];
        bool is_in_order = router->slots[slot].is_greeted || record.kind == LINK_HELLO;
        if (handler == NULL || !is_in_order || !handler(router, &arrival)) {
            return false;
        }
        router_answer_done(router, now_ms);
    }
    return true;
}

void router_tick(struct router *router, uint64_t now_ms)
{
    if (router->is_recovering && router->recovery_ends_ms <= now_ms) {
        end_recovery(router);
    }
    transfers_expire(&router->transfers, now_ms);
    router_answer_done(router, now_ms);
    router_settle_all(router, now_ms);
    struct hold *hold = NULL;
    while ((hold = holds_first_over(&router->holds, HOLD_AWAY, now_ms)) != NULL) {
        router_give_up(router, hold, now_ms);
    }
    while ((hold = holds_first_over(&router->holds, HOLD_SETTLING, now_ms)) != NULL) {
        router_release(router, hold, now_ms);
    }
    router_calls_tick(router, now_ms);
    router_answer_done(router, now_ms);
    if (router->transfers.count == 0) {
        pool_drain(&router->transfers.pool);
    }
}

bool router_needs_tick(const struct router *router)
{
    return router->is_recovering || router->transfers.count > 0 || router->holds.count > 0 ||
           router_calls_need_tick(router);
}

bool router_is_recovering(const struct router *router)
{
    return router->is_recovering;
}

bool router_slot_is_stuck(const struct router *router, uint32_t slot)
{
    return router->slots[slot].is_stuck;
}

bool router_take_urgency(struct router *router, uint32_t slot)
{
    bool is_urgent = router->slots[slot].is_urgent;
    router->slots[slot].is_urgent = false;
    return is_urgent;
}

bool router_slot_is_greeted(const struct router *router, uint32_t slot)
{
    return router->slots[slot].is_greeted;
}

struct router_stats router_stats(const struct router *router)
{
    return (struct router_stats){
        .users = router->directory.users.count,
        .sessions = router->directory.session_count,
        .transfers = router->transfers.count,
        .holds = router->holds.count,
        .kept_bytes = router->transfers.kept_bytes,
        .calls = router->calls.count,
        .ended_calls = router->calls.ended_count,
        .submits = router->submits,
        .delivers = router->delivers,
    };
}
