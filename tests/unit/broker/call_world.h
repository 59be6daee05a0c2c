/* Calls over the router of router_world.h. What goes out is written down as words, one a record,
 * and deliveries are answered at once: a test says what is done and compares the words.
 *
 *   7<hello      session 7 got the payload "hello"
 *   7<ring:hello the same, with the time at which it stops ringing
 *   7+c  7-c     its gateway is to keep, or to forget, its part in call c
 *   3=delivered  the submit with seq 3 has its outcome; glare and bad-state with their detail
 * Payloads that the server makes are shortened to 7<!call-end:no-answer(alice). */
#pragma once

#include "common/identity.h"
#include "tests/unit/broker/router_world.h"

#include <stdio.h>

enum {
    CALL_RING_MS = 60000,
    CALL_GRACE_MS = 10000,
    CALL_USER_MAX = 3,
    CALLS_MAX = 8,
    CALL_WORDS_MAX_BYTES = 8192,
    CALL_LEGS_MAX = 32,
};

/* What a gateway keeps of a session. */
struct kept_leg {
    uint64_t session_id;
    char call_id[CALL_ID_MAX_BYTES + 1];
    uint8_t state[LINK_LEG_STATE_MAX_BYTES];
    size_t state_len;
};

struct call_world {
    struct world base;
    char words[CALL_WORDS_MAX_BYTES];
    char report[256];
    size_t report_count;
    uint64_t seqs[WORLD_SLOTS];
    struct kept_leg legs[CALL_LEGS_MAX];
    enum outcome answer; /* what gateways say of a delivery; OUTCOME_COUNT: nothing yet */
};

static inline void call_world_on_ended(void *arg, const struct call_report *report)
{
    struct call_world *world = arg;
    world->report_count++;
    (void)snprintf(world->report, sizeof world->report, "%.*s %.*s>%.*s %.*s %s %d %d",
                   (int)report->call_id.len, (const char *)report->call_id.data,
                   (int)report->caller.len, (const char *)report->caller.data,
                   (int)report->callee.len, (const char *)report->callee.data,
                   (int)report->device.len, (const char *)report->device.data, report->result,
                   (int)report->ring_ms, (int)report->talk_ms);
}

static inline struct router_config call_world_config(struct call_world *world)
{
    struct router_config config = world_config();
    config.transfers_max = 100;
    config.hold_ms = WORLD_HOLD_MS;
    config.hold_users_max = 20;
    config.ring_ms = CALL_RING_MS;
    config.call_grace_ms = CALL_GRACE_MS;
    config.calls_max = CALLS_MAX;
    config.calls_user_max = CALL_USER_MAX;
    config.on_call_ended = call_world_on_ended;
    config.arg = world;
    return config;
}

static inline void call_world_init(struct call_world *world)
{
    *world = (struct call_world){.answer = OUTCOME_DELIVERED};
    struct router_config config = call_world_config(world);
    world_init_with(&world->base, &config);
}

static inline void call_world_fini(struct call_world *world)
{
    world_fini(&world->base);
}

static inline void add_word(struct call_world *world, const char *word)
{
    size_t len = strlen(world->words);
    (void)snprintf(world->words + len, sizeof world->words - len, "%s%s", len > 0 ? " " : "", word);
}

/* The value of a member of a notice, as it stands there. */
static inline void find_member(struct slice payload, const char *key, char *value, size_t size)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%.*s", (int)payload.len, (const char *)payload.data);
    const char *at = strstr(text, key);
    assert_non_null(at);
    at += strlen(key);
    (void)snprintf(value, size, "%.*s", (int)(strchr(at, '"') - at), at);
}

static inline void write_deliver(struct call_world *world, const struct link_deliver *deliver)
{
    char word[512];
    bool is_own = deliver->source_instance_id == WORLD_BROKER_INSTANCE;
    if (is_own && deliver->payload.data[0] == '{') {
        char type[32];
        char reason[64];
        char from[64];
        find_member(deliver->payload, "\"type\":\"", type, sizeof type);
        find_member(deliver->payload, "\"reason\":\"", reason, sizeof reason);
        find_member(deliver->payload, "\"from\":\"", from, sizeof from);
        (void)snprintf(word, sizeof word, "%d<!%s:%s(%s)", (int)deliver->session_id, type, reason,
                       from);
    } else {
        (void)snprintf(word, sizeof word, "%d<%s%.*s", (int)deliver->session_id,
                       deliver->expires_ms > 0 ? "ring:" : "", (int)deliver->payload.len,
                       (const char *)deliver->payload.data);
    }
    add_word(world, word);
}

static inline void keep_leg(struct call_world *world, const struct link_leg *leg)
{
    char id[CALL_ID_MAX_BYTES + 1];
    char word[CALL_ID_MAX_BYTES + 32];
    (void)snprintf(id, sizeof id, "%.*s", (int)leg->call_id.len, (const char *)leg->call_id.data);
    (void)snprintf(word, sizeof word, "%d%c%s", (int)leg->session_id,
                   leg->state.len > 0 ? '+' : '-', id);
    add_word(world, word);
    struct kept_leg *place = NULL;
    for (size_t i = 0; i < CALL_LEGS_MAX; i++) {
        struct kept_leg *at = &world->legs[i];
        bool is_its = at->session_id == leg->session_id && strcmp(at->call_id, id) == 0;
        if (is_its || (place == NULL && at->session_id == 0)) {
            place = at;
        }
        if (is_its) {
            break;
        }
    }
    assert_non_null(place);
    *place = (struct kept_leg){0};
    if (leg->state.len > 0) {
        place->session_id = leg->session_id;
        memcpy(place->call_id, id, sizeof id);
        memcpy(place->state, leg->state.data, leg->state.len);
        place->state_len = leg->state.len;
    }
}

static inline void write_outcome(struct call_world *world,
                                 const struct link_submit_outcome *outcome)
{
    char word[128];
    (void)snprintf(word, sizeof word, "%d=%s%s%.*s", (int)outcome->seq,
                   outcome_code(outcome->outcome), outcome->detail.len > 0 ? ":" : "",
                   (int)outcome->detail.len, (const char *)outcome->detail.data);
    add_word(world, word);
}

static inline void take_record(struct call_world *world, uint32_t slot)
{
    struct link_record record = world_read(&world->base, slot);
    switch (record.kind) {
    case LINK_DELIVER:
        write_deliver(world, &record.deliver);
        if (world->answer != OUTCOME_COUNT) {
            struct link_record answer = {.kind = LINK_DELIVERY_OUTCOME};
            answer.delivery_outcome.source_instance_id = record.deliver.source_instance_id;
            answer.delivery_outcome.seq = record.deliver.seq;
            answer.delivery_outcome.session_id = record.deliver.session_id;
            answer.delivery_outcome.outcome = world->answer;
            assert_true(world_send(&world->base, slot, &answer));
        }
        break;
    case LINK_LEG:
        keep_leg(world, &record.leg);
        break;
    case LINK_SUBMIT_OUTCOME:
        write_outcome(world, &record.submit_outcome);
        break;
    default:
        break; /* attached, evict: other tests' business */
    }
}

/* Reads all that goes out until nothing does. */
static inline void call_world_flow(struct call_world *world)
{
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        if (buffer_len(&world->base.outs[slot]) > 0) {
            take_record(world, slot);
            slot = UINT32_MAX; /* from the front: the first slot's records come first */
        }
    }
}

/* What has gone out since the last time. */
static inline void assert_words(struct call_world *world, const char *words)
{
    call_world_flow(world);
    assert_string_equal(world->words, words);
    world->words[0] = '\0';
}

/* Session `id` of `user` on slot `id / 10`. */
static inline void come(struct call_world *world, uint64_t id, const char *user, const char *device)
{
    assert_true(
        world_send_attach(&world->base, (uint32_t)(id / 10), id, world->base.now_ms, user, device));
}

static inline void go(struct call_world *world, uint64_t id)
{
    world_detach(&world->base, (uint32_t)(id / 10), id);
}

/* The broker dies, and the next one starts: its gateways greet it, and attach nobody yet. */
static inline void call_world_restart(struct call_world *world)
{
    router_free(world->base.router);
    struct router_config config = call_world_config(world);
    world->base.router = router_new(&config, world->base.now_ms);
    assert_non_null(world->base.router);
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        world_greet(&world->base, slot, world_instance(slot));
    }
}

/* Attaches a session that stood through the restart, with what its gateway keeps. */
static inline void come_again(struct call_world *world, uint64_t id, const char *user,
                              const char *device)
{
    come(world, id, user, device);
    for (size_t i = 0; i < CALL_LEGS_MAX; i++) {
        const struct kept_leg *leg = &world->legs[i];
        if (leg->session_id == id) {
            struct link_record record = {.kind = LINK_LEG};
            record.leg.session_id = id;
            record.leg.call_id = slice_from_string(leg->call_id);
            record.leg.state = slice_of(leg->state, leg->state_len);
            assert_true(world_send(&world->base, (uint32_t)(id / 10), &record));
        }
    }
}

static inline void call_world_recover(struct call_world *world)
{
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        assert_true(world_send_synced(&world->base, slot));
    }
    assert_false(router_is_recovering(world->base.router));
}

struct move {
    uint64_t session_id;
    const char *user;
    const char *device;
    enum call_type type;
    const char *to;
    const char *call_id;
    const char *text;
    uint64_t hash;
    bool is_device_scope;
    bool is_repeat;
};

/* Returns its seq. */
static inline uint64_t make(struct call_world *world, const struct move *move)
{
    uint32_t slot = (uint32_t)(move->session_id / 10);
    struct link_record record = {.kind = LINK_SUBMIT};
    record.submit.seq = ++world->seqs[slot];
    record.submit.session_id = move->session_id;
    record.submit.deadline_ms = world->base.now_ms + WORLD_TIMEOUT_MS;
    record.submit.is_repeat = move->is_repeat;
    record.submit.type = move->type;
    record.submit.to = slice_from_string(move->to);
    record.submit.call_id = slice_from_string(move->call_id);
    record.submit.payload = slice_from_string(move->text);
    record.submit.party.user_id = slice_from_string(move->user);
    record.submit.party.device_id = slice_from_string(move->device);
    record.submit.party.message_hash = move->hash;
    record.submit.party.is_device_scope = move->is_device_scope;
    assert_true(world_send(&world->base, slot, &record));
    return record.submit.seq;
}
