/* Links: the greeting, and when a gateway is told to submit. */
#include "tests/unit/broker/router_world.h"

static void init_alone(struct world *world)
{
    struct router_config config = world_config();
    world_init_alone(world, &config);
}

static void sync(struct world *world, uint32_t slot)
{
    assert_true(world_send_synced(world, slot));
}

static bool submits(struct world *world, uint32_t slot, uint64_t seq)
{
    return world_send_submit(world, slot, seq, "nobody", slice_from_string("a"));
}

static void test_a_gateway_is_greeted_anew_on_each_connection(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    assert_true(router_slot_is_greeted(world.router, 1));
    world_disconnect(&world, 1);
    assert_false(router_slot_is_greeted(world.router, 1));
    router_link_up(world.router, 1, &world.outs[1]);
    assert_false(router_slot_is_greeted(world.router, 1));
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_all_are_ready_once_the_last_has_synced(void **state)
{
    (void)state;
    static const char *const devices[WORLD_SLOTS] = {"phone", "laptop", "watch"};
    struct world world;
    init_alone(&world);
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        assert_true(router_is_recovering(world.router));
        world_greet(&world, slot, world_instance(slot));
        world_attach(&world, slot, 7, "bob", devices[slot]);
        world_expect_nothing(&world);
        sync(&world, slot);
    }
    assert_false(router_is_recovering(world.router));
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        world_expect_ready(&world, slot);
        assert_true(submits(&world, slot, 1));
        world_expect_outcome(&world, slot, 1, OUTCOME_USER_OFFLINE);
    }
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_after_the_window_those_who_synced_are_ready(void **state)
{
    (void)state;
    struct world world;
    init_alone(&world);
    world_greet(&world, 0, world_instance(0));
    world_greet(&world, 1, world_instance(1));
    sync(&world, 0);
    world_tick(&world, WORLD_RECOVERY_MS - 1);
    world_expect_nothing(&world);
    assert_true(router_is_recovering(world.router));
    world_tick(&world, 1);
    assert_false(router_is_recovering(world.router));
    world_expect_ready(&world, 0);
    world_expect_nothing(&world);
    sync(&world, 1); /* late, and ready at once */
    world_expect_ready(&world, 1);
    world_connect(&world, 2, world_instance(2));
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_ready_is_said_once_a_connection(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_tick(&world, WORLD_RECOVERY_MS);
    world_expect_nothing(&world);
    world_disconnect(&world, 1);
    world_greet(&world, 1, world_instance(1));
    world_tick(&world, WORLD_RECOVERY_MS);
    world_expect_nothing(&world); /* not before it has synced */
    sync(&world, 1);
    world_expect_ready(&world, 1);
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_who_has_synced_and_gone_is_missing_again(void **state)
{
    (void)state;
    struct world world;
    init_alone(&world);
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        world_greet(&world, slot, world_instance(slot));
    }
    sync(&world, 0);
    sync(&world, 1);
    world_disconnect(&world, 1);
    sync(&world, 2);
    world_expect_nothing(&world);
    world_greet(&world, 1, world_instance(1));
    world_expect_nothing(&world);
    sync(&world, 1);
    for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
        world_expect_ready(&world, slot);
    }
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_a_submit_before_ready_ends_the_link(void **state)
{
    (void)state;
    struct world world;
    init_alone(&world);
    world_greet(&world, 0, world_instance(0));
    assert_false(submits(&world, 0, 1));
    world_disconnect(&world, 0);
    world_greet(&world, 0, world_instance(0));
    sync(&world, 0); /* but the others have not */
    assert_false(submits(&world, 0, 1));
    world_disconnect(&world, 0);
    world_tick(&world, WORLD_RECOVERY_MS);
    world_greet(&world, 0, world_instance(0));
    assert_false(submits(&world, 0, 1));
    world_expect_nothing(&world);
    assert_int_equal(router_stats(world.router).submits, 0);
    world_disconnect(&world, 0);
    world_connect(&world, 0, world_instance(0));
    assert_true(submits(&world, 0, 1));
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    world_fini(&world);
}

/* Of a recovering broker: outcomes of what a former one delivered, too. */
static void test_all_but_submits_are_heard_while_it_recovers(void **state)
{
    (void)state;
    struct world world;
    init_alone(&world);
    world_greet(&world, 0, world_instance(0));
    world_attach(&world, 0, 1, "alice", "");
    world_attach(&world, 0, 2, "bob", "");
    world_detach(&world, 0, 1);
    world_retire(&world, 0, 2);
    world_expect_retired(&world, 0, 2);
    world_answer(&world, 0, 1, 5, 1, OUTCOME_DELIVERED);
    world_expect_nothing(&world);
    assert_int_equal(router_stats(world.router).sessions, 0);
    world_fini(&world);
}

static void test_ticks_are_needed_while_something_can_end(void **state)
{
    (void)state;
    struct world world;
    init_alone(&world);
    assert_true(router_needs_tick(world.router));
    world_tick(&world, WORLD_RECOVERY_MS);
    assert_false(router_needs_tick(world.router));
    world_connect(&world, 0, world_instance(0));
    world_attach(&world, 0, 1, "bob", "");
    assert_false(router_needs_tick(world.router));
    world_submit(&world, 0, 1, "bob", "a");
    assert_true(router_needs_tick(world.router));
    world_answer(&world, 0, 0, 1, 1, OUTCOME_DELIVERED);
    assert_false(router_needs_tick(world.router));
    world_fini(&world);
    world_init_holding(&world);
    world_attach(&world, 0, 1, "bob", "");
    world_detach(&world, 0, 1);
    assert_true(router_needs_tick(world.router));
    world_tick(&world, WORLD_HOLD_MS);
    assert_false(router_needs_tick(world.router));
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_gateway_is_greeted_anew_on_each_connection),
        cmocka_unit_test(test_all_are_ready_once_the_last_has_synced),
        cmocka_unit_test(test_after_the_window_those_who_synced_are_ready),
        cmocka_unit_test(test_ready_is_said_once_a_connection),
        cmocka_unit_test(test_who_has_synced_and_gone_is_missing_again),
        cmocka_unit_test(test_a_submit_before_ready_ends_the_link),
        cmocka_unit_test(test_all_but_submits_are_heard_while_it_recovers),
        cmocka_unit_test(test_ticks_are_needed_while_something_can_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
