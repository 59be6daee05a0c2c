/* Calls and the death of the broker: gateways keep each session's part and tell the next one. The
 * cast is that of router_calls_test.c. */
#include "tests/unit/broker/call_world.h"

#define ALICE .session_id = 1, .user = "alice", .device = "pa", .to = "bob", .call_id = "c"
#define BOB .session_id = 11, .user = "bob", .device = "pb", .to = "alice", .call_id = "c"
#define BOBS_LAPTOP .session_id = 21, .user = "bob", .device = "lb", .to = "alice", .call_id = "c"
#define MAKE(world, ...) make((world), &(struct move){__VA_ARGS__})

static void clear_words(struct call_world *world)
{
    call_world_flow(world);
    world->words[0] = '\0';
}

static void init_calling(struct call_world *world)
{
    call_world_init(world);
    come(world, 1, "alice", "pa");
    come(world, 11, "bob", "pb");
    come(world, 21, "bob", "lb");
    MAKE(world, ALICE, .type = CALL_TYPE_START, .text = "start", .hash = 1);
    clear_words(world);
}

static void init_answered(struct call_world *world)
{
    init_calling(world);
    MAKE(world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    clear_words(world);
}

static void all_come_again(struct call_world *world)
{
    call_world_restart(world);
    come_again(world, 1, "alice", "pa");
    come_again(world, 11, "bob", "pb");
    come_again(world, 21, "bob", "lb");
    call_world_recover(world);
}

static void test_a_standing_call_goes_on(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    all_come_again(&world);
    clear_words(&world);
    world_tick(&world.base, CALL_GRACE_MS);
    assert_words(&world, "");
    MAKE(&world, ALICE, .type = CALL_TYPE_OFFER, .text = "offer");
    assert_words(&world, "11<offer 2=delivered");
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_OFFER, .text = "offer");
    assert_words(&world, "1=answered-elsewhere");
    MAKE(&world, BOB, .type = CALL_TYPE_END, .text = "bye");
    assert_words(&world, "1<bye 1-c 11-c 2=delivered");
    assert_string_equal(world.report, "c alice>bob pb completed 0 10000");
    call_world_fini(&world);
}

static void test_a_ringing_call_can_be_answered(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    all_come_again(&world);
    clear_words(&world);
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    assert_words(&world, "1<accept 1+c 11+c 1=delivered "
                         "21<!call-cancel:answered-elsewhere(alice) 21-c");
    call_world_fini(&world);
}

static void test_a_ringing_call_still_ends_in_time(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    world.base.now_ms += CALL_RING_MS / 2;
    all_come_again(&world);
    clear_words(&world);
    world_tick(&world.base, CALL_RING_MS / 2);
    assert_words(&world, "1<!call-end:no-answer(bob) 1-c 11<!call-cancel:missed(alice) 11-c "
                         "21<!call-cancel:missed(alice) 21-c");
    call_world_fini(&world);
}

static void test_a_party_that_is_not_back_is_waited_for(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    call_world_restart(&world);
    come_again(&world, 11, "bob", "pb");
    call_world_recover(&world);
    clear_words(&world);
    world_tick(&world.base, CALL_GRACE_MS - 1);
    assert_words(&world, "");
    world_tick(&world.base, 1);
    assert_words(&world, "11<!call-end:connection-lost(alice) 11-c");
    call_world_fini(&world);
}

static void test_an_accept_that_the_caller_never_got_is_said_again(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    world.answer = OUTCOME_COUNT; /* what goes out is kept, but no outcome comes back */
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    clear_words(&world);
    world.answer = OUTCOME_DELIVERED;
    all_come_again(&world);
    clear_words(&world);
    world.seqs[1]--; /* the same submit again */
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2, .is_repeat = true);
    assert_words(&world, "1<accept 1=delivered");
    call_world_fini(&world);
}

/* The broker told alice's gateway, and died before it told that of bob's phone. */
static void init_winner_has_not_heard(struct call_world *world)
{
    init_calling(world);
    struct kept_leg phones[CALL_LEGS_MAX];
    memcpy(phones, world->legs, sizeof phones);
    MAKE(world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    clear_words(world);
    for (size_t i = 0; i < CALL_LEGS_MAX; i++) {
        for (size_t j = 0; j < CALL_LEGS_MAX && phones[i].session_id == 11; j++) {
            if (world->legs[j].session_id == 11) {
                world->legs[j] = phones[i];
            }
        }
    }
    all_come_again(world);
    clear_words(world);
}

static void test_the_winner_that_had_not_heard_so_has_won(void **state)
{
    (void)state;
    struct call_world world;
    init_winner_has_not_heard(&world);
    world.seqs[1]--; /* its gateway sends it again */
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2, .is_repeat = true);
    assert_words(&world, "1<accept 1=delivered");
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 3);
    assert_words(&world, "2=bad-state:answered");
    call_world_fini(&world);
    init_winner_has_not_heard(&world);
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2); /* its client does */
    assert_words(&world, "1<accept 2=delivered"); /* the caller may not have had it either */
    call_world_fini(&world);
}

static void test_a_device_that_rings_on_is_told(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    struct kept_leg laptops[CALL_LEGS_MAX];
    memcpy(laptops, world.legs, sizeof laptops);
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    clear_words(&world);
    for (size_t i = 0; i < CALL_LEGS_MAX; i++) {
        if (laptops[i].session_id == 21) {
            world.legs[CALL_LEGS_MAX - 1] = laptops[i]; /* the broker died before it could tell */
        }
    }
    all_come_again(&world);
    call_world_flow(&world);
    assert_non_null(strstr(world.words, "21<!call-cancel:answered-elsewhere(alice)"));
    assert_non_null(strstr(world.words, "21-c"));
    call_world_fini(&world);
}

static void test_a_leg_that_is_no_leg_ends_the_link(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    struct link_record record = {.kind = LINK_LEG};
    record.leg.session_id = 1;
    record.leg.call_id = slice_from_string("c");
    record.leg.state = slice_from_string("nonsense");
    assert_false(world_send(&world.base, 0, &record));
    call_world_fini(&world);
}

static void test_a_part_in_somebody_elses_call_is_refused(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    come(&world, 12, "eve", "");
    clear_words(&world);
    for (size_t i = 0; i < CALL_LEGS_MAX; i++) {
        if (world.legs[i].session_id == 1) {
            struct link_record record = {.kind = LINK_LEG};
            record.leg.session_id = 12;
            record.leg.call_id = slice_from_string("c");
            record.leg.state = slice_of(world.legs[i].state, world.legs[i].state_len);
            assert_true(world_send(&world.base, 1, &record));
        }
    }
    assert_words(&world, "12-c");
    call_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_standing_call_goes_on),
        cmocka_unit_test(test_a_ringing_call_can_be_answered),
        cmocka_unit_test(test_a_ringing_call_still_ends_in_time),
        cmocka_unit_test(test_a_party_that_is_not_back_is_waited_for),
        cmocka_unit_test(test_an_accept_that_the_caller_never_got_is_said_again),
        cmocka_unit_test(test_the_winner_that_had_not_heard_so_has_won),
        cmocka_unit_test(test_a_device_that_rings_on_is_told),
        cmocka_unit_test(test_a_leg_that_is_no_leg_ends_the_link),
        cmocka_unit_test(test_a_part_in_somebody_elses_call_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
