/* Once it is warm, the broker allocates nothing for a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/router.h"
#include "common/link_codec.h"
#include "tests/unit/allocation_count.h"

enum { WARM_UP = 1000, ROUNDS = 10000, PAYLOAD_BYTES = 300, WAITING = 100 };

static struct buffer outs[2];

/* Hands one record to the router, as the gateway on `slot`. */
static void feed(struct router *router, uint32_t slot, const struct link_record *record,
                 struct buffer *batch)
{
    buffer_clear(batch);
    link_record_put(batch, record);
    assert_true(router_receive(router, slot, buffer_slice(batch), 0));
}

static void attach(struct router *router, uint32_t slot, uint64_t session_id, const char *user_id,
                   struct buffer *batch)
{
    struct link_record record = {.kind = LINK_ATTACH};
    record.attach.session_id = session_id;
    record.attach.user_id = slice_from_string(user_id);
    feed(router, slot, &record, batch);
}

static void greet_and_attach(struct router *router, uint32_t slot, const char *user_id,
                             struct buffer *batch)
{
    buffer_init(&outs[slot], 1024 * 1024);
    router_link_up(router, slot, &outs[slot]);
    struct link_record hello = {.kind = LINK_HELLO};
    hello.greeting.version = LINK_VERSION;
    hello.greeting.instance_id = slot + 1;
    feed(router, slot, &hello, batch);
    attach(router, slot, 1, user_id, batch);
    struct link_record synced = {.kind = LINK_SYNCED};
    feed(router, slot, &synced, batch);
}

/* From alice to bob. */
static void submit_one(struct router *router, uint64_t seq, struct buffer *batch)
{
    static const uint8_t payload[PAYLOAD_BYTES];
    struct link_record submit = {.kind = LINK_SUBMIT};
    submit.submit.seq = seq;
    submit.submit.session_id = 1;
    submit.submit.deadline_ms = UINT64_MAX;
    submit.submit.to = slice_from_string("bob");
    submit.submit.payload = slice_of(payload, sizeof payload);
    feed(router, 0, &submit, batch);
}

static void answer_one(struct router *router, uint64_t seq, uint64_t session_id,
                       struct buffer *batch)
{
    struct link_record outcome = {.kind = LINK_DELIVERY_OUTCOME};
    outcome.delivery_outcome.source_instance_id = 1;
    outcome.delivery_outcome.seq = seq;
    outcome.delivery_outcome.session_id = session_id;
    outcome.delivery_outcome.outcome = OUTCOME_DELIVERED;
    feed(router, 1, &outcome, batch);
}

static void clear_outs(void)
{
    assert_true(buffer_len(&outs[0]) > 0 && buffer_len(&outs[1]) > PAYLOAD_BYTES);
    buffer_clear(&outs[0]);
    buffer_clear(&outs[1]);
}

static void one_message(struct router *router, uint64_t seq, struct buffer *batch)
{
    submit_one(router, seq, batch);
    answer_one(router, seq, 1, batch);
    clear_outs();
}

static struct router *new_router(struct buffer *batch)
{
    struct router_config config = {
        .slot_count = 2,
        .instance_id = 7,
        .devices_max = 4,
        .transfers_max = 1000,
        .kept_max_bytes = 1024 * 1024,
        .transfer_timeout_ms = 1000,
        .hold_ms = 1000,
        .hold_users_max = 1,
        .hold_messages_max = WAITING,
    };
    struct router *router = router_new(&config, 0);
    assert_non_null(router);
    buffer_init(batch, 64 * 1024);
    greet_and_attach(router, 0, "alice", batch);
    greet_and_attach(router, 1, "bob", batch);
    return router;
}

static void free_router(struct router *router, struct buffer *batch)
{
    router_free(router);
    buffer_fini(batch);
    buffer_fini(&outs[0]);
    buffer_fini(&outs[1]);
}

static void a_message_costs_no_allocation(void **state)
{
    (void)state;
    struct buffer batch;
    struct router *router = new_router(&batch);
    uint64_t seq = 1;
    while (seq <= WARM_UP) {
        one_message(router, seq++, &batch);
    }
    size_t count_before = allocation_count;
    assert_true(count_before > 0);
    while (seq <= WARM_UP + ROUNDS) {
        one_message(router, seq++, &batch);
    }
    assert_int_equal(allocation_count - count_before, 0);
    assert_int_equal(router_stats(router).delivers, WARM_UP + ROUNDS);
    free_router(router, &batch);
}

/* Bob leaves, is sent messages, and comes back. Gives what these cost, without what he did. */
static size_t count_absence(struct router *router, uint64_t session_id, struct buffer *batch)
{
    struct link_record detach = {.kind = LINK_DETACH};
    detach.session.session_id = session_id;
    feed(router, 1, &detach, batch);
    size_t count_before = allocation_count;
    uint64_t first_seq = session_id * WAITING;
    for (uint64_t i = 0; i < WAITING; i++) {
        submit_one(router, first_seq + i, batch);
    }
    assert_int_equal(router_stats(router).transfers, WAITING);
    size_t waiting_count = allocation_count - count_before;
    attach(router, 1, session_id + 1, "bob", batch);
    count_before = allocation_count;
    for (uint64_t i = 0; i < WAITING; i++) {
        answer_one(router, first_seq + i, session_id + 1, batch);
    }
    assert_int_equal(router_stats(router).transfers, 0);
    clear_outs();
    return waiting_count + allocation_count - count_before;
}

static void a_message_that_waits_costs_no_allocation(void **state)
{
    (void)state;
    struct buffer batch;
    struct router *router = new_router(&batch);
    assert_true(count_absence(router, 1, &batch) >= WAITING); /* they are new as yet */
    for (uint64_t session_id = 2; session_id < 10; session_id++) {
        assert_int_equal(count_absence(router, session_id, &batch), 0);
    }
    free_router(router, &batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_costs_no_allocation),
        cmocka_unit_test(a_message_that_waits_costs_no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
