/* What the router says should leave at once, for each gateway: everything, but for good news that
 * nobody awaits. */
#include "tests/unit/broker/router_world.h"

/* And not again until there is more; a mask, a bit each slot. */
static void expect_urgency(struct world *world, unsigned int slots)
{
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        assert_int_equal(router_take_urgency(world->router, i), (slots >> i & 1) != 0);
        assert_false(router_take_urgency(world->router, i));
    }
}

enum { SLOT_0 = 1, SLOT_1 = 2, SLOT_2 = 4 };

/* Bob is on slot 1 as 7. */
static void begin(struct world *world)
{
    world_init(world);
    world_attach(world, 1, 7, "bob", "");
    expect_urgency(world, SLOT_0 | SLOT_1 | SLOT_2);
}

/* From slot 0 to bob. */
static void hand_over(struct world *world, uint64_t seq, bool is_awaited)
{
    world->is_awaited = is_awaited;
    world_submit(world, 0, seq, "bob", "a");
    world_expect_deliver(world, 1, 0, seq, 7, "a");
    expect_urgency(world, SLOT_1);
}

static void test_what_belongs_to_sessions_is_urgent(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    expect_urgency(&world, 0);
    world_attach(&world, 2, 8, "alice", "");
    expect_urgency(&world, SLOT_2);
    world_attach(&world, 0, 9, "alice", "");
    world_expect_evict(&world, 2, 8);
    expect_urgency(&world, SLOT_0 | SLOT_2);
    world_retire(&world, 0, 9);
    world_expect_retired(&world, 0, 9);
    expect_urgency(&world, SLOT_0);
    world_detach(&world, 1, 7);
    expect_urgency(&world, 0);
    world_disconnect(&world, 1);
    world_greet(&world, 1, world_instance(1));
    expect_urgency(&world, SLOT_1);
    assert_true(world_send_synced(&world, 1));
    world_expect_ready(&world, 1);
    expect_urgency(&world, SLOT_1);
    world_fini(&world);
}

static void test_good_news_is_urgent_if_it_is_awaited(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        bool is_awaited = seq % 2 == 0;
        hand_over(&world, seq, is_awaited);
        world_answer(&world, 1, 0, seq, 7, OUTCOME_DELIVERED);
        expect_urgency(&world, is_awaited ? SLOT_0 : 0);
        world_expect_outcome(&world, 0, seq, OUTCOME_DELIVERED); /* it is there all the same */
    }
    world_fini(&world);
}

static void test_what_is_not_urgent_does_not_hide_what_is(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        hand_over(&world, seq, seq == 2);
    }
    for (uint64_t seq = 1; seq <= 3; seq++) {
        world_answer(&world, 1, 0, seq, 7, OUTCOME_DELIVERED);
    }
    expect_urgency(&world, SLOT_0);
    world_fini(&world);
}

static void test_bad_news_is_urgent(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    static const enum outcome outcomes[] = {OUTCOME_USER_OFFLINE, OUTCOME_OVERLOADED,
                                            OUTCOME_UNCONFIRMED};
    for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++) {
        hand_over(&world, i + 1, false);
        world_answer(&world, 1, 0, i + 1, 7, outcomes[i]);
        expect_urgency(&world, SLOT_0);
        world_expect_outcome(&world, 0, i + 1, outcomes[i]);
    }
    world_fini(&world);
}

static void test_a_refusal_is_urgent(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    world_submit(&world, 0, 1, "nobody", "a");
    world_expect_outcome(&world, 0, 1, OUTCOME_USER_OFFLINE);
    expect_urgency(&world, SLOT_0);
    world.deadline_ms = world.now_ms;
    world_submit(&world, 2, 2, "bob", "a");
    world_expect_outcome(&world, 2, 2, OUTCOME_UNAVAILABLE);
    expect_urgency(&world, SLOT_2);
    world.deadline_ms = UINT64_MAX;
    for (uint64_t seq = 2; seq <= WORLD_TRANSFERS_MAX + 1; seq++) {
        hand_over(&world, seq, false);
    }
    world_submit(&world, 0, WORLD_TRANSFERS_MAX + 2, "bob", "a");
    world_expect_outcome(&world, 0, WORLD_TRANSFERS_MAX + 2, OUTCOME_OVERLOADED);
    expect_urgency(&world, SLOT_0);
    world_fini(&world);
}

static void test_what_waited_for_its_user_is_awaited_as_before(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_detach(&world, 1, 7);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        world.is_awaited = seq == 2;
        world_submit(&world, 0, seq, "bob", "a");
    }
    expect_urgency(&world, SLOT_0 | SLOT_1 | SLOT_2);
    world_expect_nothing(&world);
    world_attach(&world, 1, 8, "bob", "");
    for (uint64_t seq = 1; seq <= 2; seq++) {
        struct link_record record = world_read(&world, 1);
        assert_int_equal(record.kind, LINK_DELIVER);
        assert_int_equal(record.deliver.is_awaited, seq == 2);
    }
    expect_urgency(&world, SLOT_1);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        world_answer(&world, 1, 0, seq, 8, OUTCOME_DELIVERED);
        expect_urgency(&world, seq == 2 ? SLOT_0 : 0);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_belongs_to_sessions_is_urgent),
        cmocka_unit_test(test_good_news_is_urgent_if_it_is_awaited),
        cmocka_unit_test(test_what_is_not_urgent_does_not_hide_what_is),
        cmocka_unit_test(test_bad_news_is_urgent),
        cmocka_unit_test(test_a_refusal_is_urgent),
        cmocka_unit_test(test_what_waited_for_its_user_is_awaited_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
