/* Sessions: who is in the directory, and who gives way to whom. */
#include "tests/unit/broker/router_world.h"

#include <stdio.h>

static void assert_counts(const struct world *world, size_t users, size_t sessions)
{
    assert_int_equal(router_stats(world->router).users, users);
    assert_int_equal(router_stats(world->router).sessions, sessions);
}

/* That messages to `user` go to that session and nowhere else. */
static void assert_reaches(struct world *world, uint64_t seq, const char *user, uint32_t slot,
                           uint64_t session_id)
{
    world_submit(world, 0, seq, user, "probe");
    world_expect_deliver(world, slot, 0, seq, session_id, "probe");
    world_answer(world, slot, 0, seq, session_id, OUTCOME_DELIVERED);
    world_expect_outcome(world, 0, seq, OUTCOME_DELIVERED);
    world_expect_nothing(world);
}

static void assert_offline(struct world *world, uint64_t seq, const char *user)
{
    world_submit(world, 0, seq, user, "probe");
    world_expect_outcome(world, 0, seq, OUTCOME_USER_OFFLINE);
    world_expect_nothing(world);
}

static void test_a_session_is_there_from_attach_to_detach(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    assert_offline(&world, 1, "bob");
    world_attach(&world, 1, 7, "bob", "");
    assert_counts(&world, 1, 1);
    assert_reaches(&world, 2, "bob", 1, 7);
    world_detach(&world, 1, 7);
    assert_counts(&world, 0, 0);
    assert_offline(&world, 3, "bob");
    world_fini(&world);
}

static void test_user_ids_are_bytes(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    assert_offline(&world, 1, "Bob");
    assert_offline(&world, 2, "bo");
    assert_offline(&world, 3, "bobb");
    assert_reaches(&world, 4, "bob", 1, 7);
    world_fini(&world);
}

/* A gateway that is not sure whether it was heard may ask again. */
static void test_attach_again_is_attached_again(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "phone");
    world_attach(&world, 1, 7, "bob", "phone");
    assert_counts(&world, 1, 1);
    world_expect_nothing(&world);
    assert_false(world_send_attach(&world, 1, 7, 0, "bob", "laptop"));
    assert_false(world_send_attach(&world, 1, 7, 0, "eve", "phone"));
    world_expect_nothing(&world);
    world_fini(&world);
}

/* Ids are the gateway's own: two gateways may well use the same. */
static void test_session_ids_belong_to_their_slot(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 0, 7, "alice", "");
    world_attach(&world, 1, 7, "bob", "");
    world_detach(&world, 2, 7);
    assert_counts(&world, 2, 2);
    world_detach(&world, 0, 7);
    assert_offline(&world, 1, "alice");
    assert_reaches(&world, 2, "bob", 1, 7);
    world_fini(&world);
}

static void test_newer_session_replaces_older(void **state)
{
    (void)state;
    for (uint32_t slot = 1; slot < WORLD_SLOTS; slot++) {
        struct world world;
        world_init(&world);
        assert_true(world_send_attach(&world, 1, 7, 100, "bob", "phone"));
        world_expect_attached(&world, 1, 7);
        assert_true(world_send_attach(&world, slot, 8, 101, "bob", "phone"));
        world_expect_evict(&world, 1, 7);
        world_expect_attached(&world, slot, 8);
        assert_counts(&world, 1, 1);
        assert_reaches(&world, 1, "bob", slot, 8);
        world_fini(&world);
    }
}

/* The attaches of two gateways can overtake each other; since_ms knows which client was last. */
static void test_older_newcomer_is_evicted_itself(void **state)
{
    (void)state;
    for (uint32_t slot = 1; slot < WORLD_SLOTS; slot++) {
        struct world world;
        world_init(&world);
        assert_true(world_send_attach(&world, 1, 8, 101, "bob", "phone"));
        world_expect_attached(&world, 1, 8);
        assert_true(world_send_attach(&world, slot, 9, 100, "bob", "phone"));
        world_expect_evict(&world, slot, 9);
        world_expect_nothing(&world);
        assert_counts(&world, 1, 1);
        world_detach(&world, slot, 9); /* of the evicted one: touches nobody */
        assert_reaches(&world, 1, "bob", 1, 8);
        world_fini(&world);
    }
}

static void test_on_a_tie_the_later_attach_stays(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    assert_true(world_send_attach(&world, 1, 7, 100, "bob", ""));
    world_expect_attached(&world, 1, 7);
    assert_true(world_send_attach(&world, 2, 7, 100, "bob", ""));
    world_expect_evict(&world, 1, 7);
    world_expect_attached(&world, 2, 7);
    assert_reaches(&world, 1, "bob", 2, 7);
    world_fini(&world);
}

static void test_devices_live_side_by_side(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_attach(&world, 1, 8, "bob", "phone");
    world_attach(&world, 2, 9, "bob", "laptop");
    assert_counts(&world, 1, 3);
    world_detach(&world, 1, 8);
    world_detach(&world, 1, 7);
    assert_counts(&world, 1, 1);
    assert_reaches(&world, 1, "bob", 2, 9);
    world_fini(&world);
}

/* A thousand reconnects across gateways, each old session's detach arriving late: the name is
 * never stranded. */
static void test_late_detach_hits_nobody_else(void **state)
{
    (void)state;
    enum { ROUNDS = 1000 };
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 1, "bob", "");
    for (uint64_t id = 2; id <= ROUNDS; id++) {
        uint32_t old_slot = (uint32_t)((id - 1) % WORLD_SLOTS);
        uint32_t slot = (uint32_t)(id % WORLD_SLOTS);
        assert_true(world_send_attach(&world, slot, id, world.now_ms + id, "bob", ""));
        world_expect_evict(&world, old_slot, id - 1);
        world_expect_attached(&world, slot, id);
        assert_reaches(&world, 2 * id, "bob", slot, id);
        world_detach(&world, old_slot, id - 1);
        assert_reaches(&world, 2 * id + 1, "bob", slot, id);
    }
    assert_counts(&world, 1, 1);
    world_fini(&world);
}

static void test_link_down_takes_its_sessions(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 0, 1, "alice", "");
    world_attach(&world, 1, 1, "bob", "phone");
    world_attach(&world, 1, 2, "carol", "");
    world_attach(&world, 2, 1, "bob", "laptop");
    assert_counts(&world, 3, 4);
    world_disconnect(&world, 1);
    assert_counts(&world, 2, 2);
    assert_offline(&world, 1, "carol");
    assert_reaches(&world, 2, "bob", 2, 1);
    /* The same instance is back, with the same sessions. */
    world_connect(&world, 1, world_instance(1));
    world_attach(&world, 1, 2, "carol", "");
    assert_reaches(&world, 3, "carol", 1, 2);
    world_fini(&world);
}

/* The gateway serves it until then: what was delivered stands in front of `retired`. */
static void test_retired_comes_behind_every_deliver(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_submit(&world, 0, 1, "bob", "a");
    world_submit(&world, 2, 1, "bob", "b");
    world_retire(&world, 1, 7);
    world_submit(&world, 0, 2, "bob", "c");
    world_expect_outcome(&world, 0, 2, OUTCOME_USER_OFFLINE);
    world_expect_deliver(&world, 1, 0, 1, 7, "a");
    world_expect_deliver(&world, 1, 2, 1, 7, "b");
    world_expect_retired(&world, 1, 7);
    world_expect_nothing(&world);
    assert_int_equal(router_stats(world.router).sessions, 0);
    world_answer(&world, 1, 0, 1, 7, OUTCOME_DELIVERED); /* it has been served still */
    world_expect_outcome(&world, 0, 1, OUTCOME_DELIVERED);
    world_answer(&world, 1, 2, 1, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 2, 1, OUTCOME_DELIVERED);
    assert_counts(&world, 0, 0);
    world_fini(&world);
}

/* It may have been evicted while the record was on its way. */
static void test_an_unknown_session_is_retired_as_well(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_retire(&world, 1, 99);
    world_expect_retired(&world, 1, 99);
    world_retire(&world, 2, 7); /* of that name on another slot */
    world_expect_retired(&world, 2, 7);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_evict(&world, 1, 7);
    world_retire(&world, 1, 7);
    world_expect_retired(&world, 1, 7);
    world_expect_nothing(&world);
    assert_counts(&world, 1, 1);
    assert_reaches(&world, 1, "bob", 2, 8);
    world_fini(&world);
}

static void test_a_detach_behind_a_retire_hits_nobody(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 1, 7, "bob", "");
    world_retire(&world, 1, 7);
    world_expect_retired(&world, 1, 7);
    world_attach(&world, 1, 8, "bob", "");
    world_detach(&world, 1, 7);
    world_expect_nothing(&world);
    assert_reaches(&world, 1, "bob", 1, 8);
    world_fini(&world);
}

static void test_same_input_same_output(void **state)
{
    (void)state;
    struct world worlds[2];
    for (int w = 0; w < 2; w++) {
        world_init(&worlds[w]);
        for (uint32_t id = 1; id <= 20; id++) {
            char device[8];
            (void)snprintf(device, sizeof device, "d%u", id % 5);
            assert_true(world_send_attach(&worlds[w], id % WORLD_SLOTS, id, id, "bob", device));
        }
        world_submit(&worlds[w], 0, 1, "bob", "x");
    }
    for (uint32_t i = 0; i < WORLD_SLOTS; i++) {
        assert_true(buffer_len(&worlds[0].outs[i]) > 0);
        assert_true(
            slice_equal(buffer_slice(&worlds[0].outs[i]), buffer_slice(&worlds[1].outs[i])));
    }
    world_fini(&worlds[0]);
    world_fini(&worlds[1]);
}

static void test_beyond_devices_max_the_oldest_leaves(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    char device[16];
    for (uint64_t i = 0; i < WORLD_DEVICES_MAX; i++) {
        (void)snprintf(device, sizeof device, "device-%u", (unsigned)i);
        assert_true(world_send_attach(&world, 1, 10 + i, 1000 - i, "bob", device));
        world_expect_attached(&world, 1, 10 + i);
    }
    world_expect_nothing(&world);
    /* The oldest by since_ms, on whichever slot, and not the one that attached first. */
    assert_true(world_send_attach(&world, 2, 5, 2000, "bob", "one too many"));
    world_expect_attached(&world, 2, 5);
    world_expect_evict(&world, 1, 10 + WORLD_DEVICES_MAX - 1);
    world_expect_nothing(&world);
    assert_counts(&world, 1, WORLD_DEVICES_MAX);
    /* A newcomer that is the oldest itself, as after a broker's restart. */
    assert_true(world_send_attach(&world, 2, 6, 1, "bob", "an old one"));
    world_expect_attached(&world, 2, 6);
    world_expect_evict(&world, 2, 6);
    assert_counts(&world, 1, WORLD_DEVICES_MAX);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_is_there_from_attach_to_detach),
        cmocka_unit_test(test_user_ids_are_bytes),
        cmocka_unit_test(test_attach_again_is_attached_again),
        cmocka_unit_test(test_session_ids_belong_to_their_slot),
        cmocka_unit_test(test_newer_session_replaces_older),
        cmocka_unit_test(test_older_newcomer_is_evicted_itself),
        cmocka_unit_test(test_on_a_tie_the_later_attach_stays),
        cmocka_unit_test(test_devices_live_side_by_side),
        cmocka_unit_test(test_beyond_devices_max_the_oldest_leaves),
        cmocka_unit_test(test_late_detach_hits_nobody_else),
        cmocka_unit_test(test_link_down_takes_its_sessions),
        cmocka_unit_test(test_retired_comes_behind_every_deliver),
        cmocka_unit_test(test_an_unknown_session_is_retired_as_well),
        cmocka_unit_test(test_a_detach_behind_a_retire_hits_nobody),
        cmocka_unit_test(test_same_input_same_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
