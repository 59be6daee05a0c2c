/* A router with three gateways played by the test: real encoded batches in, records out. */
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
    WORLD_TIMEOUT_MS = 1000,
    WORLD_OUT_MAX_BYTES = 8192,
    WORLD_BROKER_INSTANCE = 99,
};

struct world {
    struct router *router;
    struct buffer outs[WORLD_SLOTS];
    uint64_t now_ms;
    struct buffer batch; /* what the test is about to send */
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

static inline void world_connect(struct world *world, uint32_t slot, uint64_t instance_id)
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

static inline void world_disconnect(struct world *world, uint32_t slot)
{
    router_link_down(world->router, slot);
    buffer_clear(&world->outs[slot]);
}

static inline void world_init(struct world *world)
{
    struct router_config config = {
        .slot_count = WORLD_SLOTS,
        .instance_id = WORLD_BROKER_INSTANCE,
        .devices_max = WORLD_DEVICES_MAX,
        .transfers_max = WORLD_TRANSFERS_MAX,
        .transfer_timeout_ms = WORLD_TIMEOUT_MS,
        .hash_key = {1, 2, 3},
    };
    *world = (struct world){.router = router_new(&config), .now_ms = 5000};
    assert_non_null(world->router);
    buffer_init(&world->batch, 1 << 20);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        buffer_init(&world->outs[i], WORLD_OUT_MAX_BYTES);
        world_connect(world, i, world_instance(i));
    }
}

static inline void world_fini(struct world *world)
{
    router_free(world->router);
    buffer_fini(&world->batch);
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        buffer_fini(&world->outs[i]);
    }
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

static inline void world_detach(struct world *world, uint32_t slot, uint64_t session_id)
{
    struct link_record record = {.kind = LINK_DETACH};
    record.session.session_id = session_id;
    assert_true(world_send(world, slot, &record));
}

static inline bool world_send_submit(struct world *world, uint32_t slot, uint64_t seq,
                                     const char *to, struct slice payload)
{
    struct link_record record = {.kind = LINK_SUBMIT};
    record.submit.seq = seq;
    record.submit.session_id = 1;
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
