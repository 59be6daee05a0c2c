/* Bounds: what is beyond them is overloaded, and what must get through still does. */
#include "tests/unit/broker/router_world.h"

#include <stdlib.h>

/* One gateway that never answers costs its own senders, nobody else. */
static void test_transfers_max_is_per_target_slot(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 2, 8, "carol", "");
    uint64_t seq = 0;
    while (seq < WORLD_TRANSFERS_MAX) {
        world_submit(&world, 0, ++seq, "bob", "a");
        world_expect_deliver(&world, 1, 0, seq, 7, "a");
    }
    world_submit(&world, 0, ++seq, "bob", "a");
    world_expect_outcome(&world, 0, seq, OUTCOME_OVERLOADED);
    world_submit(&world, 0, ++seq, "carol", "a");
    world_expect_deliver(&world, 2, 0, seq, 8, "a");
    world_expect_nothing(&world);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_submit(&world, 0, ++seq, "bob", "a");
    world_expect_deliver(&world, 1, 0, seq, 7, "a");
    /* All ways out of a transfer give the place back. */
    router_tick(world.router, world.now_ms + WORLD_TIMEOUT_MS);
    assert_int_equal(router_stats(world.router).transfers, 0);
    buffer_clear(&world.outs[0]);
    for (int i = 0; i < WORLD_TRANSFERS_MAX; i++) {
        world_submit(&world, 0, ++seq, "bob", "a");
        world_expect_deliver(&world, 1, 0, seq, 7, "a");
    }
    world_fini(&world);
}

/* Room for some messages of 1000 bytes, all together and wherever they go. */
static void test_beyond_kept_max_bytes_is_overloaded(void **state)
{
    (void)state;
    static const uint8_t payload[1000];
    struct slice big = slice_of(payload, sizeof payload);
    struct router_config config = world_config();
    config.kept_max_bytes = 4000;
    struct world world;
    world_init_with(&world, &config);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 2, 8, "carol", "");
    uint64_t seq = 0;
    while (router_stats(world.router).delivers == seq) {
        assert_true(++seq <= 4);
        assert_true(world_send_submit(&world, 0, seq, seq % 2 == 0 ? "bob" : "carol", big));
    }
    assert_true(seq > 2);
    assert_in_range(router_stats(world.router).kept_bytes, 2000, 4000);
    world_expect_outcome(&world, 0, seq, OUTCOME_OVERLOADED);
    world_submit(&world, 0, ++seq, "nobody", "a"); /* nothing is kept of it */
    world_expect_outcome(&world, 0, seq, OUTCOME_USER_OFFLINE);
    world_answer(&world, 2, 0, 1, 8, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    buffer_clear(&world.outs[1]);
    assert_true(world_send_submit(&world, 0, ++seq, "bob", big));
    assert_int_equal(world_read(&world, 1).kind, LINK_DELIVER);
    world_disconnect(&world, 0);
    assert_int_equal(router_stats(world.router).kept_bytes, 0);
    world_fini(&world);
}

static void test_full_out_buffer_is_overloaded(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    uint8_t payload[4000] = {'{'};
    struct slice big = slice_of(payload, sizeof payload);
    assert_true(world_send_submit(&world, 0, 1, "bob", big));
    assert_true(world_send_submit(&world, 0, 2, "bob", big));
    world_expect_outcome(&world, 0, 2, OUTCOME_OVERLOADED);
    assert_int_equal(router_stats(world.router).delivers, 1);
    /* What must get through still does. */
    world_submit(&world, 1, 1, "nobody", "a");
    world_attach(&world, 2, 1, "bob", "");
    assert_false(router_slot_is_stuck(world.router, 1));
    (void)world_read(&world, 1);
    world_expect_outcome(&world, 1, 1, OUTCOME_USER_OFFLINE);
    world_expect_evict(&world, 1, 7);
    world_expect_nothing(&world);
    world_fini(&world);
}

/* Payloads of any size, as many as are taken: the reserve stays free for the rest. */
static void test_payloads_leave_a_reserve(void **state)
{
    (void)state;
    for (size_t size = 1; size < 2 * WORLD_OUT_MAX_BYTES; size = size * 3 / 2 + 1) {
        struct world world;
        world_init(&world);
        world_attach(&world, 1, 7, "bob", "");
        uint8_t *payload = calloc(1, size);
        assert_non_null(payload);
        for (uint64_t seq = 1; seq <= 2 * WORLD_TRANSFERS_MAX; seq++) {
            assert_true(world_send_submit(&world, 0, seq, "bob", slice_of(payload, size)));
        }
        assert_true(buffer_room(&world.outs[1]) >= WORLD_OUT_MAX_BYTES / 8);
        assert_false(world.outs[1].failed);
        free(payload);
        world_fini(&world);
    }
}

static void test_stuck_slot_is_reported(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    uint64_t seq = 0;
    while (!router_slot_is_stuck(world.router, 1)) {
        assert_true(seq < WORLD_OUT_MAX_BYTES);
        world_submit(&world, 1, ++seq, "nobody", "a");
    }
    size_t len = buffer_len(&world.outs[1]);
    assert_false(router_slot_is_stuck(world.router, 0));
    /* Nothing more for it, not even where some of it would fit again. */
    buffer_clear(&world.outs[1]);
    world_attach(&world, 0, 1, "alice", "");
    assert_true(world_send_attach(&world, 1, 7, world.now_ms, "bob", ""));
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_outcome(&world, 0, 1, OUTCOME_OVERLOADED);
    world_expect_nothing(&world);
    assert_true(len <= WORLD_OUT_MAX_BYTES);
    world_disconnect(&world, 1);
    assert_false(router_slot_is_stuck(world.router, 1));
    world_connect(&world, 1, world_instance(1));
    world_attach(&world, 1, 7, "bob", "");
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers_max_is_per_target_slot),
        cmocka_unit_test(test_beyond_kept_max_bytes_is_overloaded),
        cmocka_unit_test(test_full_out_buffer_is_overloaded),
        cmocka_unit_test(test_payloads_leave_a_reserve),
        cmocka_unit_test(test_stuck_slot_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
