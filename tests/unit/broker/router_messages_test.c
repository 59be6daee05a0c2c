/* Messages: each submit gets exactly one outcome, whatever happens on the way. */
#include "tests/unit/broker/router_world.h"

static void assert_transfers(const struct world *world, size_t count)
{
    assert_int_equal(router_stats(world->router).transfers, count);
}

static void test_across_gateways_and_back(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "{}");
    world_expect_deliver(&world, 1, 0, 1, 7, "{}");
    world_expect_nothing(&world);
    assert_transfers(&world, 1);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    assert_transfers(&world, 0);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED); /* once more: nobody waits */
    world_expect_nothing(&world);
    assert_int_equal(router_stats(world.router).submits, 1);
    assert_int_equal(router_stats(world.router).delivers, 1);
    world_fini(&world);
}

static void test_a_leg_s_failure_is_the_message_s(void **state)
{
    (void)state;
    static const enum outcome outcomes[] = {OUTCOME_USER_OFFLINE, OUTCOME_OVERLOADED,
                                            OUTCOME_UNCONFIRMED};
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    for (uint64_t i = 0; i < 3; i++) {
        world_submit(&world, 1, i + 1, "bob", "{}");
        world_expect_deliver(&world, 1, 1, i + 1, 7, "{}");
        world_answer(&world, 1, 1, i + 1, 7, outcomes[i]);
        world_expect_outcome(&world, 1, i + 1, outcomes[i]);
    }
    world_expect_nothing(&world);
    world_fini(&world);
}

/* What a device of the sender's own should hear is not ours to judge. */
static void test_to_oneself(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 0, 1, "alice", "");
    world_submit(&world, 0, 1, "alice", "{}");
    world_expect_deliver(&world, 0, 0, 1, 1, "{}");
    world_answer(&world, 0, 0, 1, 1, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_fini(&world);
}

static void test_order_is_kept(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    buffer_clear(&world.batch);
    struct link_record record = {.kind = LINK_SUBMIT};
    record.submit.to = slice_from_string("bob");
    record.submit.deadline_ms = UINT64_MAX;
    for (uint64_t seq = 1; seq <= WORLD_TRANSFERS_MAX; seq++) {
        record.submit.seq = seq;
        record.submit.payload = slice_of("12345", seq);
        link_record_put(&world.batch, &record);
    }
    assert_true(router_receive(world.router, 0, buffer_slice(&world.batch), world.now_ms));
    world_expect_deliver(&world, 1, 0, 1, 7, "1");
    world_expect_deliver(&world, 1, 0, 2, 7, "12");
    world_expect_deliver(&world, 1, 0, 3, 7, "123");
    world_expect_deliver(&world, 1, 0, 4, 7, "1234");
    world_fini(&world);
}

/* Three devices on three gateways answer in any order; the best answer speaks for the message. */
static void test_fan_out_outcomes(void **state)
{
    (void)state;
    static const struct {
        enum outcome legs[WORLD_SLOTS];
        enum outcome expected;
    } rows[] = {
        {{OUTCOME_DELIVERED, OUTCOME_DELIVERED, OUTCOME_DELIVERED}, OUTCOME_DELIVERED},
        {{OUTCOME_USER_OFFLINE, OUTCOME_DELIVERED, OUTCOME_OVERLOADED}, OUTCOME_DELIVERED},
        {{OUTCOME_DELIVERED, OUTCOME_UNCONFIRMED, OUTCOME_USER_OFFLINE}, OUTCOME_DELIVERED},
        {{OUTCOME_OVERLOADED, OUTCOME_UNCONFIRMED, OUTCOME_USER_OFFLINE}, OUTCOME_UNCONFIRMED},
        {{OUTCOME_USER_OFFLINE, OUTCOME_UNCONFIRMED, OUTCOME_OVERLOADED}, OUTCOME_UNCONFIRMED},
        {{OUTCOME_USER_OFFLINE, OUTCOME_UNCONFIRMED, OUTCOME_USER_OFFLINE}, OUTCOME_UNCONFIRMED},
        {{OUTCOME_USER_OFFLINE, OUTCOME_USER_OFFLINE, OUTCOME_USER_OFFLINE}, OUTCOME_USER_OFFLINE},
    };
    struct world world;
    world_init(&world);
    world_attach(&world, 0, 5, "bob", "watch");
    world_attach(&world, 1, 5, "bob", "phone");
    world_attach(&world, 2, 5, "bob", "laptop");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t seq = i + 1;
        world_submit(&world, 0, seq, "bob", "ring");
        for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
            world_expect_deliver(&world, slot, 0, seq, 5, "ring");
        }
        for (uint32_t n = 0; n < WORLD_SLOTS; n++) {
            world_expect_nothing(&world); /* until all have answered */
            uint32_t slot = (uint32_t)((n + i) % WORLD_SLOTS);
            world_answer(&world, slot, 0, seq, 5, rows[i].legs[slot]);
        }
        world_expect_outcome(&world, 0, seq, rows[i].expected);
        world_expect_nothing(&world);
    }
    assert_transfers(&world, 0);
    world_fini(&world);
}

static void test_only_the_leg_s_own_slot_answers(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "{}");
    world_expect_deliver(&world, 1, 0, 1, 7, "{}");
    world_answer(&world, 2, 0, 1, 7, OUTCOME_DELIVERED); /* another slot */
    world_answer(&world, 1, 0, 1, 8, OUTCOME_DELIVERED); /* another session */
    world_answer(&world, 1, 0, 2, 7, OUTCOME_DELIVERED); /* another message */
    world_answer(&world, 1, 2, 1, 7, OUTCOME_DELIVERED); /* another source */
    world_expect_nothing(&world);
    assert_transfers(&world, 1);
    world_fini(&world);
}

/* A leg stays open when its session goes: its gateway still says what became of it. */
static void test_detach_and_evict_leave_legs(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_deliver(&world, 1, 0, 1, 7, "a");
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    world_submit(&world, 0, 2, "bob", "b");
    world_expect_deliver(&world, 2, 0, 2, 8, "b");
    world_detach(&world, 2, 8);
    world_expect_nothing(&world);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_answer(&world, 2, 0, 2, 8, OUTCOME_USER_OFFLINE);
    world_expect_outcome(&world, 0, 2, OUTCOME_USER_OFFLINE);
    world_fini(&world);
}

static void test_time_out(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "a");
    world.now_ms += 10;
    world_submit(&world, 0, 2, "bob", "b");
    world_expect_deliver(&world, 1, 0, 1, 7, "a");
    world_expect_deliver(&world, 1, 0, 2, 7, "b");
    router_tick(world.router, world.now_ms + WORLD_TIMEOUT_MS - 11);
    world_expect_nothing(&world);
    router_tick(world.router, world.now_ms + WORLD_TIMEOUT_MS - 10);
    world_expect_outcome(&world, 0, 1, OUTCOME_UNCONFIRMED);
    world_expect_nothing(&world);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED); /* too late */
    world_expect_nothing(&world);
    world_answer(&world, 1, 0, 2, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 2, OUTCOME_DELIVERED);
    router_tick(world.router, world.now_ms + 2 * WORLD_TIMEOUT_MS);
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_time_out_after_one_device_heard_it(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "phone");
    world_attach(&world, 2, 8, "bob", "laptop");
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_deliver(&world, 1, 0, 1, 7, "a");
    world_expect_deliver(&world, 2, 0, 1, 8, "a");
    world_answer(&world, 2, 0, 1, 8, OUTCOME_DELIVERED);
    world_expect_nothing(&world);
    router_tick(world.router, world.now_ms + WORLD_TIMEOUT_MS);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_target_s_link_goes_down(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 1, 8, "carol", "phone");
    world_attach(&world, 2, 9, "carol", "laptop");
    world_submit(&world, 0, 1, "bob", "a");
    world_submit(&world, 0, 2, "carol", "b");
    world_expect_deliver(&world, 2, 0, 2, 9, "b");
    world_disconnect(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_UNCONFIRMED);
    world_expect_nothing(&world);
    world_answer(&world, 2, 0, 2, 9, OUTCOME_USER_OFFLINE);
    world_expect_outcome(&world, 0, 2, OUTCOME_UNCONFIRMED);
    assert_transfers(&world, 0);
    /* Its late answers, on a new connection, are nobody's. */
    world_connect(&world, 1, world_instance(1));
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED);
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_source_s_link_goes_down(void **state)
{
    (void)state;
    for (uint64_t instance_id = 100; instance_id <= 200; instance_id += 100) {
        struct world world;
        world_init(&world);
        world_attach(&world, 1, 7, "bob", "");
        world_attach(&world, 0, 8, "bob", "at the source");
        world_submit(&world, 0, 5, "bob", "a");
        world_expect_deliver(&world, 1, 0, 5, 7, "a");
        world_disconnect(&world, 0);
        assert_transfers(&world, 0);
        world_connect(&world, 0, instance_id); /* the same gateway, or a new one */
        world_answer(&world, 1, 0, 5, 7, OUTCOME_DELIVERED);
        router_tick(world.router, world.now_ms + WORLD_TIMEOUT_MS);
        world_expect_nothing(&world);
        /* A new connection counts for itself: seqs may begin below. */
        world_submit(&world, 0, 1, "nobody", "a");
        world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
        world_fini(&world);
    }
}

static void test_a_message_keeps_what_its_source_said_of_it(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 2, 8, "bob", "phone");
    for (uint64_t flags = 0; flags < 4; flags++) {
        world.is_repeat = (flags & 1) != 0;
        world.is_awaited = (flags & 2) != 0;
        world.deadline_ms = world.now_ms + 1000 + flags;
        world_submit(&world, 0, 1 + flags, "bob", "a");
        for (uint32_t slot = 1; slot <= 2; slot++) {
            struct link_record record = world_read(&world, slot);
            assert_int_equal(record.kind, LINK_DELIVER);
            assert_int_equal(record.deliver.is_repeat, world.is_repeat);
            assert_int_equal(record.deliver.is_awaited, world.is_awaited);
            assert_int_equal(record.deliver.deadline_ms, world.deadline_ms);
        }
    }
    world_fini(&world);
}

static void test_a_message_whose_deadline_has_come_is_unavailable(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world.deadline_ms = world.now_ms;
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_outcome(&world, 0, 1, OUTCOME_UNAVAILABLE);
    world_submit(&world, 0, 2, "nobody", "a"); /* whoever it is for */
    world_expect_outcome(&world, 0, 2, OUTCOME_UNAVAILABLE);
    world.deadline_ms = 0;
    world_submit(&world, 0, 3, "bob", "a");
    world_expect_outcome(&world, 0, 3, OUTCOME_UNAVAILABLE);
    world_expect_nothing(&world);
    assert_transfers(&world, 0);
    world.deadline_ms = world.now_ms + 1;
    world_submit(&world, 0, 4, "bob", "a");
    world_expect_deliver(&world, 1, 0, 4, 7, "a");
    world_fini(&world);
}

/* After a broker's restart: with the seqs that the messages had before. */
static void test_a_repeat_is_a_message_like_any_other(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 5, "bob", "a");
    world_expect_deliver(&world, 1, 0, 5, 7, "a");
    world_disconnect(&world, 0);
    world_connect(&world, 0, world_instance(0));
    world.is_repeat = true;
    world_submit(&world, 0, 5, "bob", "a");
    world_expect_deliver(&world, 1, 0, 5, 7, "a");
    world_answer(&world, 1, 0, 5, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 5, OUTCOME_DELIVERED);
    world_answer(&world, 1, 0, 5, 7, OUTCOME_DELIVERED); /* of the one before: nobody waits */
    world_expect_nothing(&world);
    assert_transfers(&world, 0);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_across_gateways_and_back),
        cmocka_unit_test(test_a_leg_s_failure_is_the_message_s),
        cmocka_unit_test(test_to_oneself),
        cmocka_unit_test(test_order_is_kept),
        cmocka_unit_test(test_fan_out_outcomes),
        cmocka_unit_test(test_only_the_leg_s_own_slot_answers),
        cmocka_unit_test(test_detach_and_evict_leave_legs),
        cmocka_unit_test(test_time_out),
        cmocka_unit_test(test_time_out_after_one_device_heard_it),
        cmocka_unit_test(test_target_s_link_goes_down),
        cmocka_unit_test(test_source_s_link_goes_down),
        cmocka_unit_test(test_a_message_keeps_what_its_source_said_of_it),
        cmocka_unit_test(test_a_message_whose_deadline_has_come_is_unavailable),
        cmocka_unit_test(test_a_repeat_is_a_message_like_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
