/* Users who have just left: what waits for them, for how long, and what becomes of it. */
#include "tests/unit/broker/router_world.h"

static void assert_waiting(const struct world *world, size_t holds, size_t transfers)
{
    assert_int_equal(router_stats(world->router).holds, holds);
    assert_int_equal(router_stats(world->router).transfers, transfers);
}

/* Bob was here as session 7 on slot 1, a moment ago. */
static void init_bob_away(struct world *world)
{
    world_init_holding(world);
    world_attach(world, 1, 7, "bob", "");
    world_detach(world, 1, 7);
    assert_waiting(world, 1, 0);
    world_expect_nothing(world);
}

static void test_a_message_waits_for_who_has_just_left(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_nothing(&world);
    assert_waiting(&world, 1, 1);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_deliver(&world, 2, 0, 1, 8, "a"); /* behind `attached` */
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 1);
    world_answer(&world, 2, 0, 1, 8, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_submit(&world, 0, 2, "bob", "b");
    world_expect_deliver(&world, 2, 0, 2, 8, "b");
    assert_waiting(&world, 0, 1);
    world_fini(&world);
}

static void test_a_message_waits_whole(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world.deadline_ms = world.now_ms + 1234;
    world.is_repeat = true;
    world_submit(&world, 0, 1, "bob", "a");
    world_attach(&world, 1, 8, "bob", "");
    struct link_record record = world_read(&world, 1);
    assert_int_equal(record.kind, LINK_DELIVER);
    assert_int_equal(record.deliver.deadline_ms, world.now_ms + 1234);
    assert_true(record.deliver.is_repeat);
    world_fini(&world);
}

static void test_messages_wait_in_the_order_of_their_submits(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world_submit(&world, 0, 8, "bob", "first");
    world_submit(&world, 2, 3, "bob", "second");
    world_submit(&world, 0, 9, "bob", "third");
    world_attach(&world, 1, 8, "bob", "");
    world_expect_deliver(&world, 1, 0, 8, 8, "first");
    world_expect_deliver(&world, 1, 2, 3, 8, "second");
    world_expect_deliver(&world, 1, 0, 9, 8, "third");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_who_does_not_come_back_is_offline(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world_tick(&world, WORLD_HOLD_MS - 1);
    world_submit(&world, 0, 1, "bob", "a");
    world_submit(&world, 2, 1, "bob", "b");
    world_submit(&world, 0, 2, "bob", "c");
    world_tick(&world, 0);
    world_expect_nothing(&world);
    world_tick(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    world_expect_outcome(&world, 0, 2, OUTCOME_USER_OFFLINE);
    world_expect_outcome(&world, 2, 1, OUTCOME_USER_OFFLINE);
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 0);
    assert_int_equal(router_stats(world.router).users, 0);
    assert_int_equal(router_stats(world.router).kept_bytes, 0);
    world_submit(&world, 0, 3, "bob", "d");
    world_expect_outcome(&world, 0, 3, OUTCOME_USER_OFFLINE);
    world_fini(&world);
}

static void test_without_hold_ms_who_leaves_is_offline(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_deliver(&world, 1, 0, 1, 7, "a");
    world_detach(&world, 1, 7);
    world_submit(&world, 0, 2, "bob", "b");
    world_expect_outcome(&world, 0, 2, OUTCOME_USER_OFFLINE);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_USER_OFFLINE);
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    assert_waiting(&world, 0, 0);
    assert_int_equal(router_stats(world.router).users, 0);
    world_fini(&world);
}

static void test_who_never_was_there_is_offline(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world_submit(&world, 0, 1, "carol", "a");
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    world_fini(&world);
}

static void test_who_leaves_beyond_hold_users_max_is_offline(void **state)
{
    (void)state;
    static const char *const names[WORLD_HOLD_USERS_MAX + 1] = {"bob", "carol", "dave"};
    struct world world;
    world_init_holding(&world);
    for (uint64_t i = 0; i <= WORLD_HOLD_USERS_MAX; i++) {
        world_attach(&world, 1, 10 + i, names[i], "");
    }
    for (uint64_t i = 0; i <= WORLD_HOLD_USERS_MAX; i++) {
        world_detach(&world, 1, 10 + i);
    }
    assert_waiting(&world, WORLD_HOLD_USERS_MAX, 0);
    assert_int_equal(router_stats(world.router).users, WORLD_HOLD_USERS_MAX);
    world_submit(&world, 0, 1, "bob", "a");
    world_submit(&world, 0, 2, "carol", "a");
    world_expect_nothing(&world);
    world_submit(&world, 0, 3, "dave", "a");
    world_expect_outcome(&world, 0, 3, OUTCOME_USER_OFFLINE);
    world_fini(&world);
}

static void test_beyond_hold_messages_max_is_overloaded(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    for (uint64_t seq = 1; seq <= WORLD_HOLD_MESSAGES_MAX; seq++) {
        world_submit(&world, 0, seq, "bob", "a");
    }
    world_expect_nothing(&world);
    world_submit(&world, 2, 1, "bob", "b");
    world_expect_outcome(&world, 2, 1, OUTCOME_OVERLOADED);
    assert_waiting(&world, 1, WORLD_HOLD_MESSAGES_MAX);
    world_attach(&world, 1, 8, "bob", "");
    for (uint64_t seq = 1; seq <= WORLD_HOLD_MESSAGES_MAX; seq++) {
        world_expect_deliver(&world, 1, 0, seq, 8, "a");
    }
    world_expect_nothing(&world);
    world_fini(&world);
}

/* Messages that wait take half of what may be kept: the rest is for users who are there. */
static void test_beyond_half_of_kept_max_bytes_nothing_waits(void **state)
{
    (void)state;
    static const uint8_t payload[3000];
    struct router_config config = world_config();
    config.hold_ms = WORLD_HOLD_MS;
    config.kept_max_bytes = 8000;
    struct world world;
    world_init_with(&world, &config);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 1, 8, "carol", "");
    world_detach(&world, 1, 7);
    struct slice big = slice_of(payload, sizeof payload);
    assert_true(world_send_submit(&world, 0, 1, "bob", big));
    world_expect_nothing(&world);
    assert_true(world_send_submit(&world, 0, 2, "bob", big));
    world_expect_outcome(&world, 0, 2, OUTCOME_OVERLOADED);
    assert_waiting(&world, 1, 1);
    assert_true(world_send_submit(&world, 0, 3, "carol", big));
    assert_int_equal(router_stats(world.router).transfers, 2);
    world_tick(&world, WORLD_HOLD_MS);
    assert_int_equal(router_stats(world.router).holds, 0);
    world_fini(&world);
}

static void test_what_waits_past_its_deadline_is_unavailable(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world.deadline_ms = world.now_ms + 100;
    world_submit(&world, 0, 1, "bob", "a");
    world.deadline_ms = world.now_ms + 101;
    world_submit(&world, 0, 2, "bob", "b");
    world_tick(&world, 100);
    world_attach(&world, 1, 8, "bob", "");
    world_expect_outcome(&world, 0, 1, OUTCOME_UNAVAILABLE);
    world_expect_deliver(&world, 1, 0, 2, 8, "b");
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 1);
    world_fini(&world);
}

static void test_what_waits_from_a_link_that_ends_is_dropped(void **state)
{
    (void)state;
    struct world world;
    init_bob_away(&world);
    world_submit(&world, 0, 1, "bob", "a");
    world_submit(&world, 2, 1, "bob", "b");
    world_submit(&world, 0, 2, "bob", "c");
    world_disconnect(&world, 0);
    assert_waiting(&world, 1, 1);
    world_connect(&world, 0, world_instance(0));
    world_submit(&world, 0, 1, "bob", "a again"); /* as its gateway does */
    world_attach(&world, 1, 8, "bob", "");
    world_expect_deliver(&world, 1, 2, 1, 8, "b");
    world_expect_deliver(&world, 1, 0, 1, 8, "a again");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_a_gateway_s_users_are_awaited_when_its_link_ends(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "a");
    world_disconnect(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_UNCONFIRMED); /* it may have been delivered */
    assert_waiting(&world, 1, 0);
    world_submit(&world, 0, 2, "bob", "b");
    world_expect_nothing(&world);
    world_greet(&world, 1, world_instance(1));
    world_attach(&world, 1, 7, "bob", "");
    world_expect_deliver(&world, 1, 0, 2, 7, "b");
    world_expect_nothing(&world);
    world_fini(&world);
}

/* Its own users are gone, and what its own users said to them. */
static void test_a_gateway_ends_that_is_source_and_target(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 1, 8, "carol", "");
    world_detach(&world, 1, 8);
    world_submit(&world, 1, 1, "bob", "a");
    world_expect_deliver(&world, 1, 1, 1, 7, "a");
    world_submit(&world, 1, 2, "carol", "b");
    world_submit(&world, 0, 1, "carol", "c");
    world_disconnect(&world, 1);
    world_expect_nothing(&world);
    assert_waiting(&world, 2, 1);
    world_tick(&world, WORLD_HOLD_MS);
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    assert_waiting(&world, 0, 0);
    world_fini(&world);
}

static void test_only_a_user_s_last_session_leaves_a_hold(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 1, 7, "bob", "phone");
    world_attach(&world, 2, 8, "bob", "laptop");
    world_detach(&world, 1, 7);
    assert_waiting(&world, 0, 0);
    world_submit(&world, 0, 1, "bob", "a");
    world_expect_deliver(&world, 2, 0, 1, 8, "a");
    world_retire(&world, 2, 8); /* retired is gone as well */
    world_expect_retired(&world, 2, 8);
    assert_waiting(&world, 1, 1);
    world_submit(&world, 0, 2, "bob", "b");
    world_expect_nothing(&world);
    world_answer(&world, 2, 0, 1, 8, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_attach(&world, 1, 9, "bob", "watch"); /* with whatever device */
    world_expect_deliver(&world, 1, 0, 2, 9, "b");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_what_waited_may_find_no_room(void **state)
{
    (void)state;
    static const uint8_t payload[3000];
    struct world world;
    init_bob_away(&world);
    struct slice big = slice_of(payload, sizeof payload);
    for (uint64_t seq = 1; seq <= WORLD_HOLD_MESSAGES_MAX; seq++) {
        assert_true(world_send_submit(&world, 0, seq, "bob", big));
    }
    world_attach(&world, 1, 8, "bob", "");
    world_expect_outcome(&world, 0, WORLD_HOLD_MESSAGES_MAX, OUTCOME_OVERLOADED);
    assert_waiting(&world, 0, WORLD_HOLD_MESSAGES_MAX - 1);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_waits_for_who_has_just_left),
        cmocka_unit_test(test_a_message_waits_whole),
        cmocka_unit_test(test_messages_wait_in_the_order_of_their_submits),
        cmocka_unit_test(test_who_does_not_come_back_is_offline),
        cmocka_unit_test(test_without_hold_ms_who_leaves_is_offline),
        cmocka_unit_test(test_who_never_was_there_is_offline),
        cmocka_unit_test(test_who_leaves_beyond_hold_users_max_is_offline),
        cmocka_unit_test(test_beyond_hold_messages_max_is_overloaded),
        cmocka_unit_test(test_beyond_half_of_kept_max_bytes_nothing_waits),
        cmocka_unit_test(test_what_waits_past_its_deadline_is_unavailable),
        cmocka_unit_test(test_what_waits_from_a_link_that_ends_is_dropped),
        cmocka_unit_test(test_a_gateway_s_users_are_awaited_when_its_link_ends),
        cmocka_unit_test(test_a_gateway_ends_that_is_source_and_target),
        cmocka_unit_test(test_only_a_user_s_last_session_leaves_a_hold),
        cmocka_unit_test(test_what_waited_may_find_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
