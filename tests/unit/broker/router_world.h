/* A router with three gateways played by the test: real encoded batches in, records out. Unless a
 * test says otherwise nobody waits for a user who is away, and all gateways may submit. */
#pragma once

#include "broker/router.h"
#include "common/link_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    WORLD_SLOTS = 3,
    WORLD_DEVICES_MAX = 16,
    WORLD_TRANSFERS_MAX = 4,
    WORLD_TIMEOUT_MS = 10000,
    WORLD_RECOVERY_MS = 500,
    WORLD_KEPT_MAX_BYTES = 64 * 1024,
    WORLD_HOLD_MS = 2000,
    WORLD_HOLD_USERS_MAX = 2,
    WORLD_HOLD_MESSAGES_MAX = 3,
    WORLD_START_MS = 5000,
    WORLD_OUT_MAX_BYTES = 8192,
    WORLD_BROKER_INSTANCE = 99,
};

struct world {
    struct router *router;
    struct buffer outs[WORLD_SLOTS];
    uint64_t now_ms;
    struct buffer batch;  /* what the test is about to send */
    uint64_t deadline_ms; /* of the submits to come */
    bool is_repeat;       /* they are */
    bool is_awaited;      /* their outcomes are */
};

/* The gateway on slot K has instance 100 + K. */
static inline uint64_t world_instance(uint32_t slot)
{
    return 100 + slot;
}

static inline bool world_send(struct world *world, uint32_t slot, const struct link_record *record)
{
    buffer_clear(&world->batch);
    link_record_put(&world->batch, record);
    assert_false(world->batch.failed);
    return router_receive(world->router, slot, buffer_slice(&world->batch), world->now_ms);
}

/* The next record for the gateway on `slot`; its slices are valid until the next one. */
static inline struct link_record world_read(struct world *world, uint32_t slot)
{
    struct link_record record;
    struct slice batch = buffer_slice(&world->outs[slot]);
    size_t len = batch.len;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    buffer_consume(&world->outs[slot], len - batch.len);
    return record;
}

static inline void world_expect_nothing(struct world *world)
{
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        assert_int_equal(buffer_len(&world->outs[i]), 0);
    }
}

static inline struct link_record world_hello(uint64_t instance_id)
{
    struct link_record hello = {.kind = LINK_HELLO};
    hello.greeting.version = LINK_VERSION;
    hello.greeting.instance_id = instance_id;
    return hello;
}

/* A new connection, up to the welcome. */
static inline void world_greet(struct world *world, uint32_t slot, uint64_t instance_id)
{
    buffer_clear(&world->outs[slot]);
    router_link_up(world->router, slot, &world->outs[slot]);
    assert_int_equal(buffer_len(&world->outs[slot]), 0);
    struct link_record hello = world_hello(instance_id);
    assert_true(world_send(world, slot, &hello));
    struct link_record welcome = world_read(world, slot);
    assert_int_equal(welcome.kind, LINK_WELCOME);
    assert_int_equal(welcome.greeting.version, LINK_VERSION);
    assert_int_equal(welcome.greeting.instance_id, WORLD_BROKER_INSTANCE);
}

static inline bool world_send_synced(struct world *world, uint32_t slot)
{
    struct link_record record = {.kind = LINK_SYNCED};
    return world_send(world, slot, &record);
}

static inline void world_expect_ready(struct world *world, uint32_t slot)
{
    assert_int_equal(world_read(world, slot).kind, LINK_READY);
}

/* A new connection that may submit, once the recovery is over. */
static inline void world_connect(struct world *world, uint32_t slot, uint64_t instance_id)
{
    world_greet(world, slot, instance_id);
    assert_true(world_send_synced(world, slot));
    world_expect_ready(world, slot);
}

static inline void world_disconnect(struct world *world, uint32_t slot)
{
    router_link_down(world->router, slot, world->now_ms);
    buffer_clear(&world->outs[slot]);
}

static inline struct router_config world_config(void)
{
    return (struct router_config){
        .slot_count = WORLD_SLOTS,
        .instance_id = WORLD_BROKER_INSTANCE,
        .devices_max = WORLD_DEVICES_MAX,
        .transfers_max = WORLD_TRANSFERS_MAX,
        .kept_max_bytes = WORLD_KEPT_MAX_BYTES,
        .transfer_timeout_ms = WORLD_TIMEOUT_MS,
        .recovery_ms = WORLD_RECOVERY_MS,
        .hold_users_max = WORLD_HOLD_USERS_MAX,
        .hold_messages_max = WORLD_HOLD_MESSAGES_MAX,
        .hash_key = {1, 2, 3},
    };
}

/* As the broker starts: no gateway is there yet. */
static inline void world_init_alone(struct world *world, const struct router_config *config)
{
    *world = (struct world){
        .router = router_new(config, WORLD_START_MS),
        .now_ms = WORLD_START_MS,
        .deadline_ms = UINT64_MAX,
    };
    assert_non_null(world->router);
    buffer_init(&world->batch, 1 << 20);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        buffer_init(&world->outs[i], WORLD_OUT_MAX_BYTES);
    }
}

static inline void world_init_with(struct world *world, const struct router_config *config)
{
    world_init_alone(world, config);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        world_greet(world, i, world_instance(i));
        assert_true(world_send_synced(world, i));
    }
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        world_expect_ready(world, i);
    }
}

static inline void world_init(struct world *world)
{
    struct router_config config = world_config();
    world_init_with(world, &config);
}

/* Messages wait for a user who was there a moment ago. */
static inline void world_init_holding(struct world *world)
{
    struct router_config config = world_config();
    config.hold_ms = WORLD_HOLD_MS;
    world_init_with(world, &config);
}

static inline void world_fini(struct world *world)
{
    router_free(world->router);
    buffer_fini(&world->batch);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        buffer_fini(&world->outs[i]);
    }
}

static inline void world_tick(struct world *world, uint64_t passed_ms)
{
    world->now_ms += passed_ms;
    router_tick(world->router, world->now_ms);
}

static inline bool world_send_attach(struct world *world, uint32_t slot, uint64_t session_id,
                                     uint64_t since_ms, const char *user, const char *device)
{
    struct link_record record = {.kind = LINK_ATTACH};
    record.attach.session_id = session_id;
    record.attach.since_ms = since_ms;
    record.attach.user_id = slice_from_string(user);
    record.attach.device_id = slice_from_string(device);
    return world_send(world, slot, &record);
}

static inline void world_expect_attached(struct world *world, uint32_t slot, uint64_t session_id)
{
    struct link_record record = world_read(world, slot);
    assert_int_equal(record.kind, LINK_ATTACHED);
    assert_int_equal(record.session.session_id, session_id);
}

static inline void world_expect_evict(struct world *world, uint32_t slot, uint64_t session_id)
{
    struct link_record record = world_read(world, slot);
    assert_int_equal(record.kind, LINK_EVICT);
    assert_int_equal(record.evict.session_id, session_id);
    assert_int_equal(record.evict.close_code, 4501);
}

static inline void world_attach(struct world *world, uint32_t slot, uint64_t session_id,
                                const char *user, const char *device)
{
    assert_true(world_send_attach(world, slot, session_id, world->now_ms, user, device));
    world_expect_attached(world, slot, session_id);
}

/* A record that says no more than whose it is. */
static inline bool world_send_session(struct world *world, uint32_t slot,
                                      enum link_record_kind kind, uint64_t session_id)
{
    struct link_record record = {.kind = kind};
    record.session.session_id = session_id;
    return world_send(world, slot, &record);
}

static inline void world_detach(struct world *world, uint32_t slot, uint64_t session_id)
{
    assert_true(world_send_session(world, slot, LINK_DETACH, session_id));
}

static inline void world_retire(struct world *world, uint32_t slot, uint64_t session_id)
{
    assert_true(world_send_session(world, slot, LINK_RETIRE, session_id));
}

static inline void world_expect_retired(struct world *world, uint32_t slot, uint64_t session_id)
{
    struct link_record record = world_read(world, slot);
    assert_int_equal(record.kind, LINK_RETIRED);
    assert_int_equal(record.session.session_id, session_id);
}

static inline bool world_send_submit(struct world *world, uint32_t slot, uint64_t seq,
                                     const char *to, struct slice payload)
{
    struct link_record record = {.kind = LINK_SUBMIT};
    record.submit.seq = seq;
    record.submit.session_id = 1;
    record.submit.deadline_ms = world->deadline_ms;
    record.submit.is_repeat = world->is_repeat;
    record.submit.is_awaited = world->is_awaited;
    record.submit.type = CALL_TYPE_OFFER;
    record.submit.to = slice_from_string(to);
    record.submit.payload = payload;
    return world_send(world, slot, &record);
}

/* With a payload that says `text`. */
static inline void world_submit(struct world *world, uint32_t slot, uint64_t seq, const char *to,
                                const char *text)
{
    assert_true(world_send_submit(world, slot, seq, to, slice_from_string(text)));
}

static inline void world_expect_deliver(struct world *world, uint32_t slot, uint32_t source,
                                        uint64_t seq, uint64_t session_id, const char *text)
{
    struct link_record record = world_read(world, slot);
    assert_int_equal(record.kind, LINK_DELIVER);
    assert_int_equal(record.deliver.source_instance_id, world_instance(source));
    assert_int_equal(record.deliver.seq, seq);
    assert_int_equal(record.deliver.session_id, session_id);
    assert_true(slice_equal_string(record.deliver.payload, text));
}

static inline bool world_send_answer(struct world *world, uint32_t slot, uint32_t source,
                                     uint64_t seq, uint64_t session_id, enum outcome outcome)
{
    struct link_record record = {.kind = LINK_DELIVERY_OUTCOME};
    record.delivery_outcome.source_instance_id = world_instance(source);
    record.delivery_outcome.seq = seq;
    record.delivery_outcome.session_id = session_id;
    record.delivery_outcome.outcome = outcome;
    return world_send(world, slot, &record);
}

static inline void world_answer(struct world *world, uint32_t slot, uint32_t source, uint64_t seq,
                                uint64_t session_id, enum outcome outcome)
{
    assert_true(world_send_answer(world, slot, source, seq, session_id, outcome));
}

static inline void world_expect_outcome(struct world *world, uint32_t slot, uint64_t seq,
                                        enum outcome outcome)
{
    struct link_record record = world_read(world, slot);
    assert_int_equal(record.kind, LINK_SUBMIT_OUTCOME);
    assert_int_equal(record.submit_outcome.seq, seq);
    assert_int_equal(record.submit_outcome.outcome, outcome);
}
