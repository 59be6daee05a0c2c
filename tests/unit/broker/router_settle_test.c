/* Messages that come back from sessions that have gone: they wait for their user, in front of those
 * that came after them, and reach nobody behind these. */
#include "broker/holds.h"

#include "tests/unit/broker/router_world.h"

static void assert_waiting(const struct world *world, size_t holds, size_t transfers)
{
    assert_int_equal(router_stats(world->router).holds, holds);
    assert_int_equal(router_stats(world->router).transfers, transfers);
}

/* Messages from slot 0 with the seqs 1 to `count` are under way to bob, session 7 on slot 1. */
static void init_under_way(struct world *world, uint64_t count)
{
    world_init_holding(world);
    world_attach(world, 1, 7, "bob", "");
    for (uint64_t seq = 1; seq <= count; seq++) {
        world_submit(world, 0, seq, "bob", "sent");
        world_expect_deliver(world, 1, 0, seq, 7, "sent");
    }
}

static void bounce(struct world *world, uint64_t seq)
{
    world_answer(world, 1, 0, seq, 7, OUTCOME_USER_OFFLINE);
}

static void test_what_comes_back_waits_in_front_of_later_ones(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    world_submit(&world, 0, 2, "bob", "later");
    bounce(&world, 1);
    world_expect_nothing(&world);
    assert_waiting(&world, 1, 2);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_deliver(&world, 2, 0, 1, 8, "sent");
    world_expect_deliver(&world, 2, 0, 2, 8, "later");
    world_expect_nothing(&world);
    world_answer(&world, 2, 0, 1, 8, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_fini(&world);
}

static void test_what_comes_back_in_any_order_leaves_as_it_was_sent(void **state)
{
    (void)state;
    static const uint64_t orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                         {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
        struct world world;
        init_under_way(&world, 3);
        world_detach(&world, 1, 7);
        for (size_t k = 0; k < 3; k++) {
            bounce(&world, orders[i][k]);
        }
        world_attach(&world, 2, 8, "bob", "");
        for (uint64_t seq = 1; seq <= 3; seq++) {
            world_expect_deliver(&world, 2, 0, seq, 8, "sent");
        }
        world_expect_nothing(&world);
        world_fini(&world);
    }
}

static void test_what_comes_back_in_vain_is_offline_once(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    bounce(&world, 1);
    bounce(&world, 1);
    world_tick(&world, WORLD_HOLD_MS);
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 0);
    assert_int_equal(router_stats(world.router).users, 0);
    world_fini(&world);
}

/* It answers only later, when nobody is awaited any more. */
static void test_what_comes_back_after_the_hold_is_offline(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    world_tick(&world, WORLD_HOLD_MS);
    assert_waiting(&world, 0, 1);
    assert_int_equal(router_stats(world.router).users, 1); /* while the message is under way */
    bounce(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    assert_int_equal(router_stats(world.router).users, 0);
    world_fini(&world);
}

static void test_who_is_back_gets_nothing_until_all_legs_are_answered(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 2);
    world_detach(&world, 1, 7);
    world_attach(&world, 2, 8, "bob", "");
    world_submit(&world, 2, 1, "bob", "later");
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_expect_nothing(&world);
    assert_waiting(&world, 1, 2);
    bounce(&world, 2);
    world_expect_deliver(&world, 2, 0, 2, 8, "sent");
    world_expect_deliver(&world, 2, 2, 1, 8, "later");
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 2);
    world_fini(&world);
}

static void test_settling_lasts_no_longer_than_its_time(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    world_tick(&world, WORLD_HOLD_MS - 1); /* its own time, not what is left of the absence */
    world_attach(&world, 2, 8, "bob", "");
    world_submit(&world, 0, 2, "bob", "later");
    world_tick(&world, HOLDS_SETTLE_MS - 1);
    world_expect_nothing(&world);
    world_tick(&world, 1);
    world_expect_deliver(&world, 2, 0, 2, 8, "later");
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 2);
    bounce(&world, 1); /* too late: it would overtake */
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    world_expect_nothing(&world);
    world_fini(&world);
}

/* Whatever happens meanwhile: else a busy user might never get anything. */
static void test_settling_does_not_begin_anew(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 2);
    world_detach(&world, 1, 7);
    world_attach(&world, 2, 8, "bob", "phone");
    world_submit(&world, 0, 3, "bob", "later");
    world_tick(&world, HOLDS_SETTLE_MS - 1);
    world_attach(&world, 2, 9, "bob", "laptop");
    bounce(&world, 1);
    world_expect_nothing(&world);
    world_tick(&world, 1);
    for (uint64_t session_id = 9; session_id >= 8; session_id--) {
        world_expect_deliver(&world, 2, 0, 1, session_id, "sent");
    }
    for (uint64_t session_id = 9; session_id >= 8; session_id--) {
        world_expect_deliver(&world, 2, 0, 3, session_id, "later");
    }
    world_expect_nothing(&world);
    world_fini(&world);
}

/* Late, and its user settles once more: only who has heard nothing later gets it. */
static void test_what_comes_back_late_passes_by_who_has_heard_later_ones(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    world_attach(&world, 2, 8, "bob", "laptop");
    world_attach(&world, 2, 9, "bob", "phone");
    world_tick(&world, HOLDS_SETTLE_MS);
    world_submit(&world, 0, 2, "bob", "later");
    world_expect_deliver(&world, 2, 0, 2, 9, "later");
    world_expect_deliver(&world, 2, 0, 2, 8, "later");
    world_attach(&world, 1, 10, "bob", "phone"); /* has heard nothing yet */
    world_expect_evict(&world, 2, 9);
    bounce(&world, 1);
    world_expect_nothing(&world);
    world_answer(&world, 2, 0, 2, 9, OUTCOME_DELIVERED);
    world_expect_deliver(&world, 1, 0, 1, 10, "sent");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_a_replaced_session_s_messages_settle(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 2);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    world_submit(&world, 0, 3, "bob", "later");
    bounce(&world, 2);
    world_expect_nothing(&world);
    assert_waiting(&world, 1, 3);
    bounce(&world, 1);
    world_expect_deliver(&world, 2, 0, 1, 8, "sent");
    world_expect_deliver(&world, 2, 0, 2, 8, "sent");
    world_expect_deliver(&world, 2, 0, 3, 8, "later");
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 3);
    world_fini(&world);
}

static void test_a_session_is_replaced_without_a_hold_if_nothing_is_under_way(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    assert_waiting(&world, 0, 0);
    world_submit(&world, 0, 2, "bob", "later");
    world_expect_deliver(&world, 2, 0, 2, 8, "later");
    world_fini(&world);
}

/* Replaced again and again while it settles: the messages are for the last. */
static void test_a_chain_of_replacements_settles_once(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 2);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    world_attach(&world, 0, 9, "bob", "");
    world_expect_evict(&world, 2, 8);
    world_expect_nothing(&world);
    bounce(&world, 2);
    bounce(&world, 1);
    world_expect_deliver(&world, 0, 0, 1, 9, "sent");
    world_expect_deliver(&world, 0, 0, 2, 9, "sent");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_who_leaves_while_it_settles_is_awaited_anew(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    world_attach(&world, 2, 8, "bob", "");
    world_submit(&world, 0, 2, "bob", "later");
    world_tick(&world, 100);
    world_detach(&world, 2, 8);
    world_tick(&world, HOLDS_SETTLE_MS); /* does not count while it is away */
    bounce(&world, 1);
    world_expect_nothing(&world);
    world_tick(&world, WORLD_HOLD_MS - HOLDS_SETTLE_MS - 1);
    world_expect_nothing(&world);
    world_attach(&world, 2, 9, "bob", "");
    world_expect_deliver(&world, 2, 0, 1, 9, "sent");
    world_expect_deliver(&world, 2, 0, 2, 9, "later");
    world_expect_nothing(&world);
    world_fini(&world);
}

static bool attach_again(struct world *world, uint32_t slot, uint64_t session_id, const char *user)
{
    struct link_record record = {.kind = LINK_ATTACH};
    record.attach.session_id = session_id;
    record.attach.since_ms = world->now_ms;
    record.attach.was_attached = true;
    record.attach.user_id = slice_from_string(user);
    return world_send(world, slot, &record);
}

/* It was attached before, on a connection that broke: who knows what it has been handed. */
static void test_who_was_attached_before_gets_nothing_that_comes_back(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    assert_true(attach_again(&world, 2, 8, "bob"));
    world_expect_attached(&world, 2, 8);
    world_submit(&world, 0, 2, "bob", "later");
    world_expect_nothing(&world);
    bounce(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    world_expect_deliver(&world, 2, 0, 2, 8, "later");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_what_comes_back_past_its_deadline_is_unavailable(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 1, 7, "bob", "");
    world.deadline_ms = world.now_ms + 100;
    world_submit(&world, 0, 1, "bob", "sent");
    world_expect_deliver(&world, 1, 0, 1, 7, "sent");
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    world_tick(&world, 100);
    bounce(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_UNAVAILABLE);
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 0);
    world_fini(&world);
}

static void test_what_comes_back_into_a_full_hold_is_overloaded(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_detach(&world, 1, 7);
    for (uint64_t seq = 2; seq < 2 + WORLD_HOLD_MESSAGES_MAX; seq++) {
        world_submit(&world, 0, seq, "bob", "later");
    }
    world_expect_nothing(&world);
    bounce(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_OVERLOADED);
    world_expect_nothing(&world);
    assert_waiting(&world, 1, WORLD_HOLD_MESSAGES_MAX);
    world_fini(&world);
}

/* Only what nobody has heard waits: one device had it, or may have had it. */
static void test_what_may_have_been_heard_does_not_wait(void **state)
{
    (void)state;
    static const enum outcome outcomes[] = {OUTCOME_DELIVERED, OUTCOME_UNCONFIRMED,
                                            OUTCOME_OVERLOADED};
    for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++) {
        struct world world;
        world_init_holding(&world);
        world_attach(&world, 1, 7, "bob", "phone");
        world_attach(&world, 2, 8, "bob", "laptop");
        world_submit(&world, 0, 1, "bob", "a");
        world_expect_deliver(&world, 1, 0, 1, 7, "a");
        world_expect_deliver(&world, 2, 0, 1, 8, "a");
        world_detach(&world, 1, 7);
        world_detach(&world, 2, 8);
        bounce(&world, 1);
        world_expect_nothing(&world);
        world_answer(&world, 2, 0, 1, 8, outcomes[i]);
        world_expect_outcome(&world, 0, 1, outcomes[i]);
        assert_waiting(&world, 1, 0);
        world_fini(&world);
    }
}

static void test_legs_that_end_otherwise_settle_as_well(void **state)
{
    (void)state;
    struct world world;
    init_under_way(&world, 1);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    world_submit(&world, 0, 2, "bob", "later");
    world_disconnect(&world, 1);
    world_expect_outcome(&world, 0, 1, OUTCOME_UNCONFIRMED);
    world_tick(&world, HOLDS_SETTLE_MS);
    world_expect_deliver(&world, 2, 0, 2, 8, "later");
    world_expect_nothing(&world);
    assert_waiting(&world, 0, 1);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_back_waits_in_front_of_later_ones),
        cmocka_unit_test(test_what_comes_back_in_any_order_leaves_as_it_was_sent),
        cmocka_unit_test(test_what_comes_back_in_vain_is_offline_once),
        cmocka_unit_test(test_what_comes_back_after_the_hold_is_offline),
        cmocka_unit_test(test_who_is_back_gets_nothing_until_all_legs_are_answered),
        cmocka_unit_test(test_settling_lasts_no_longer_than_its_time),
        cmocka_unit_test(test_settling_does_not_begin_anew),
        cmocka_unit_test(test_what_comes_back_late_passes_by_who_has_heard_later_ones),
        cmocka_unit_test(test_a_replaced_session_s_messages_settle),
        cmocka_unit_test(test_a_session_is_replaced_without_a_hold_if_nothing_is_under_way),
        cmocka_unit_test(test_a_chain_of_replacements_settles_once),
        cmocka_unit_test(test_who_leaves_while_it_settles_is_awaited_anew),
        cmocka_unit_test(test_who_was_attached_before_gets_nothing_that_comes_back),
        cmocka_unit_test(test_what_comes_back_past_its_deadline_is_unavailable),
        cmocka_unit_test(test_what_comes_back_into_a_full_hold_is_overloaded),
        cmocka_unit_test(test_what_may_have_been_heard_does_not_wait),
        cmocka_unit_test(test_legs_that_end_otherwise_settle_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
