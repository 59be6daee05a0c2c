#include "broker/router.h"

#include "broker/directory.h"
#include "broker/transfers.h"
#include "common/close_code.h"
#include "common/link_codec.h"

#include <assert.h>
#include <stdlib.h>

enum {
    /* The part of an outbound buffer, one in so many, that payloads leave to what must get through:
     * outcomes, evictions, attached. */
    RESERVE_DIVISOR = 8,
};

/* One gateway's place. */
struct slot {
    struct buffer *out; /* NULL: no connection */
    uint64_t instance_id;
    uint64_t last_seq; /* of this connection's submits */
    bool is_greeted;
    bool is_stuck;
};

struct router {
    struct router_config config;
    struct directory directory;
    struct transfers transfers;
    uint64_t submits;
    uint64_t delivers;
    struct slot slots[];
};

/* A record with where and when it came. */
struct arrival {
    uint32_t slot;
    uint64_t now_ms;
    const struct link_record *record;
};

static void put_record(struct router *router, uint32_t slot_no, const struct link_record *record)
{
    struct slot *slot = &router->slots[slot_no];
    assert(slot->out != NULL);
    if (slot->is_stuck) {
        return;
    }
    link_record_put(slot->out, record);
    slot->is_stuck = slot->out->failed;
}

static void put_attached(struct router *router, uint32_t slot, uint64_t session_id)
{
    struct link_record record = {.kind = LINK_ATTACHED};
    record.session.session_id = session_id;
    put_record(router, slot, &record);
}

static void put_evict(struct router *router, uint32_t slot, uint64_t session_id,
                      uint16_t close_code)
{
    struct link_record record = {.kind = LINK_EVICT};
    record.evict.session_id = session_id;
    record.evict.close_code = close_code;
    put_record(router, slot, &record);
}

static void put_submit_outcome(struct router *router, uint32_t slot, uint64_t seq,
                               enum outcome outcome)
{
    struct link_record record = {.kind = LINK_SUBMIT_OUTCOME};
    record.submit_outcome.seq = seq;
    record.submit_outcome.outcome = outcome;
    put_record(router, slot, &record);
}

/* Tells the sources of all transfers that have come to their end. */
static void answer_done(struct router *router)
{
    struct transfer_result result;
    while (transfers_pop_done(&router->transfers, &result)) {
        put_submit_outcome(router, result.source_slot, result.seq, result.outcome);
    }
}

struct router *router_new(const struct router_config *config)
{
    struct router *router = calloc(1, sizeof *router + config->slot_count * sizeof(struct slot));
    if (router == NULL) {
        return NULL;
    }
    router->config = *config;
    if (!directory_init(&router->directory, config->slot_count, config->hash_key)) {
        free(router);
        return NULL;
    }
    if (!transfers_init(&router->transfers, config->slot_count, config->transfers_max,
                        config->hash_key)) {
        directory_fini(&router->directory);
        free(router);
        return NULL;
    }
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL) {
        return;
    }
    transfers_fini(&router->transfers);
    directory_fini(&router->directory);
    free(router);
}

void router_link_up(struct router *router, uint32_t slot, struct buffer *out)
{
    assert(slot < router->config.slot_count && router->slots[slot].out == NULL);
    router->slots[slot] = (struct slot){.out = out};
}

void router_link_down(struct router *router, uint32_t slot)
{
    assert(slot < router->config.slot_count && router->slots[slot].out != NULL);
    router->slots[slot] = (struct slot){0};
    struct session *session = NULL;
    while ((session = directory_first_of_slot(&router->directory, slot)) != NULL) {
        directory_remove(&router->directory, session);
    }
    transfers_end_slot(&router->transfers, slot);
    answer_done(router);
}

/* Two slots with one instance id could not be told apart by it. */
static bool instance_is_greeted(const struct router *router, uint64_t instance_id)
{
    for (uint32_t i = 0; i < router->config.slot_count; i++) {
        if (router->slots[i].is_greeted && router->slots[i].instance_id == instance_id) {
            return true;
        }
    }
    return false;
}

/* False: out of order; the link ends. */
typedef bool (*handler_fn)(struct router *router, const struct arrival *arrival);

static bool on_hello(struct router *router, const struct arrival *arrival)
{
    const struct link_greeting *hello = &arrival->record->greeting;
    struct slot *slot = &router->slots[arrival->slot];
    if (slot->is_greeted || hello->version != LINK_VERSION ||
        instance_is_greeted(router, hello->instance_id)) {
        return false;
    }
    slot->is_greeted = true;
    slot->instance_id = hello->instance_id;
    struct link_record welcome = {.kind = LINK_WELCOME};
    welcome.greeting.version = LINK_VERSION;
    welcome.greeting.instance_id = router->config.instance_id;
    put_record(router, arrival->slot, &welcome);
    return true;
}

static bool is_same_device(const struct session *session, const struct link_attach *attach)
{
    return slice_equal(directory_user_id(session), attach->user_id) &&
           slice_equal(directory_device_id(session), attach->device_id);
}

/* A user's sessions are few: bounded here, where each device more makes every message to the user
 * dearer. The one that has been there longest leaves. */
static void evict_beyond_max(struct router *router, const struct session *newcomer)
{
    struct session *oldest = NULL;
    uint64_t count = 0;
    struct session *session = directory_first_of_user(newcomer->user);
    for (; session != NULL; session = directory_next_of_user(session)) {
        count++;
        if (oldest == NULL || session->since_ms <= oldest->since_ms) {
            oldest = session; /* on a tie the one that attached first: it comes last */
        }
    }
    if (count > router->config.devices_max) {
        put_evict(router, oldest->slot, oldest->id, CLOSE_REPLACED);
        directory_remove(&router->directory, oldest);
    }
}

static bool on_attach(struct router *router, const struct arrival *arrival)
{
    const struct link_attach *attach = &arrival->record->attach;
    const struct session *known =
        directory_find_session(&router->directory, arrival->slot, attach->session_id);
    if (known != NULL) {
        if (!is_same_device(known, attach)) {
            return false;
        }
        put_attached(router, arrival->slot, attach->session_id);
        return true;
    }
    struct session *rival =
        directory_find_device(&router->directory, attach->user_id, attach->device_id);
    if (rival != NULL && rival->since_ms > attach->since_ms) {
        put_evict(router, arrival->slot, attach->session_id, CLOSE_REPLACED);
        return true;
    }
    const struct session *newcomer = directory_add(&router->directory, arrival->slot, attach);
    if (newcomer == NULL) {
        put_evict(router, arrival->slot, attach->session_id, CLOSE_GOING_AWAY);
        return true;
    }
    if (rival != NULL) {
        put_evict(router, rival->slot, rival->id, CLOSE_REPLACED);
        directory_remove(&router->directory, rival);
    }
    put_attached(router, arrival->slot, attach->session_id);
    evict_beyond_max(router, newcomer);
    return true;
}

static bool on_detach(struct router *router, const struct arrival *arrival)
{
    struct session *session = directory_find_session(&router->directory, arrival->slot,
                                                     arrival->record->session.session_id);
    /* Else it was evicted, and the two records met on the way. */
    if (session != NULL) {
        directory_remove(&router->directory, session);
    }
    return true;
}

static bool has_room_for(const struct slot *slot, struct slice payload)
{
    size_t needed = payload.len + LINK_RECORD_OVERHEAD_BYTES;
    return !slot->is_stuck &&
           needed + slot->out->max_bytes / RESERVE_DIVISOR <= buffer_room(slot->out);
}

static void deliver(struct router *router, struct transfer *transfer, const struct session *session,
                    struct slice payload)
{
    if (!has_room_for(&router->slots[session->slot], payload) ||
        !transfers_add_leg(&router->transfers, transfer, session->slot, session->id)) {
        transfer_note(transfer, OUTCOME_OVERLOADED);
        return;
    }
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.source_instance_id = transfer->key.source_instance_id;
    record.deliver.seq = transfer->key.seq;
    record.deliver.session_id = session->id;
    record.deliver.payload = payload;
    put_record(router, session->slot, &record);
    router->delivers++;
}

static bool on_submit(struct router *router, const struct arrival *arrival)
{
    const struct link_submit *submit = &arrival->record->submit;
    struct slot *source = &router->slots[arrival->slot];
    if (submit->seq <= source->last_seq) {
        return false;
    }
    source->last_seq = submit->seq;
    router->submits++;
    const struct user *target = directory_find_user(&router->directory, submit->to);
    if (target == NULL) {
        put_submit_outcome(router, arrival->slot, submit->seq, OUTCOME_USER_OFFLINE);
        return true;
    }
    struct transfer_key key = {.source_instance_id = source->instance_id, .seq = submit->seq};
    struct transfer *transfer =
        transfers_open(&router->transfers, arrival->slot, key,
                       arrival->now_ms + router->config.transfer_timeout_ms);
    if (transfer == NULL) {
        put_submit_outcome(router, arrival->slot, submit->seq, OUTCOME_OVERLOADED);
        return true;
    }
    const struct session *session = directory_first_of_user(target);
    for (; session != NULL; session = directory_next_of_user(session)) {
        deliver(router, transfer, session, submit->payload);
    }
    transfers_start(&router->transfers, transfer);
    return true;
}

static bool on_delivery_outcome(struct router *router, const struct arrival *arrival)
{
    const struct link_delivery_outcome *answer = &arrival->record->delivery_outcome;
    if (!transfer_leg_can_end(answer->outcome)) {
        return false;
    }
    struct transfer_key key = {
        .source_instance_id = answer->source_instance_id,
        .seq = answer->seq,
    };
    transfers_answer(&router->transfers, key, arrival->slot, answer->session_id, answer->outcome);
    return true;
}

/* What a gateway may send; the kinds without a handler go the other way. */
static const handler_fn on_record[LINK_RECORD_KIND_COUNT] = {
    [LINK_HELLO] = on_hello,
    [LINK_ATTACH] = on_attach,
    [LINK_DETACH] = on_detach,
    [LINK_SUBMIT] = on_submit,
    [LINK_DELIVERY_OUTCOME] = on_delivery_outcome,
};

bool router_receive(struct router *router, uint32_t slot, struct slice batch, uint64_t now_ms)
{
    assert(slot < router->config.slot_count && router->slots[slot].out != NULL);
    while (batch.len > 0) {
        struct link_record record;
        if (link_record_decode(&batch, &record) != PARSE_DONE) {
            return false;
        }
        struct arrival arrival = {.slot = slot, .now_ms = now_ms, .record = &record};
        handler_fn handler = on_record[record.kind];
        bool is_in_order = router->slots[slot].is_greeted || record.kind == LINK_HELLO;
        if (handler == NULL || !is_in_order || !handler(router, &arrival)) {
            return false;
        }
        answer_done(router);
    }
    return true;
}

void router_tick(struct router *router, uint64_t now_ms)
{
    transfers_expire(&router->transfers, now_ms);
    answer_done(router);
}

bool router_slot_is_stuck(const struct router *router, uint32_t slot)
{
    return router->slots[slot].is_stuck;
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
        .submits = router->submits,
        .delivers = router->delivers,
    };
}
