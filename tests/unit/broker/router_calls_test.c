/* Calls: each row of the table in PROTOCOL.md, and what happens when devices come and go. Alice has
 * session 1 (a phone) on slot 0; bob 11 (a phone) on slot 1 and 21 (a laptop) on slot 2. */
#include "broker/calls.h"
#include "tests/unit/broker/call_world.h"

#define ALICE .session_id = 1, .user = "alice", .device = "pa", .to = "bob", .call_id = "c"
#define BOB .session_id = 11, .user = "bob", .device = "pb", .to = "alice", .call_id = "c"
#define BOBS_LAPTOP .session_id = 21, .user = "bob", .device = "lb", .to = "alice", .call_id = "c"
#define MAKE(world, ...) make((world), &(struct move){__VA_ARGS__})

static void init_three(struct call_world *world)
{
    call_world_init(world);
    come(world, 1, "alice", "pa");
    come(world, 11, "bob", "pb");
    come(world, 21, "bob", "lb");
    assert_words(world, "");
}

static void init_calling(struct call_world *world)
{
    init_three(world);
    MAKE(world, ALICE, .type = CALL_TYPE_START, .text = "start", .hash = 1);
    assert_words(world, "1+c 11+c 11<ring:start 21+c 21<ring:start 1=delivered");
}

static void init_answered(struct call_world *world)
{
    init_calling(world);
    MAKE(world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    assert_words(world, "1<accept 1+c 11+c 1=delivered "
                        "21<!call-cancel:answered-elsewhere(alice) 21-c");
}

static void test_the_first_accept_wins(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 3);
    assert_words(&world, "1=answered-elsewhere");
    assert_int_equal(router_stats(world.base.router).calls, 1);
    call_world_fini(&world);
}

static void test_ringing_goes_to_the_caller(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    MAKE(&world, BOB, .type = CALL_TYPE_RINGING, .text = "rings");
    assert_words(&world, "1<rings 1=delivered");
    MAKE(&world, ALICE, .type = CALL_TYPE_ACCEPT, .text = "accept");
    assert_words(&world, "2=bad-state:ringing");
    call_world_fini(&world);
}

static void test_reject_ends_it_everywhere(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    world.base.now_ms += 500;
    MAKE(&world, BOB, .type = CALL_TYPE_REJECT, .text = "no");
    assert_words(&world,
                 "1<no 1-c 11-c 1=delivered 21<!call-cancel:rejected-elsewhere(alice) 21-c");
    assert_string_equal(world.report, "c alice>bob  rejected 500 0");
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_ACCEPT, .text = "accept");
    assert_words(&world, "1=no-such-call");
    assert_int_equal(router_stats(world.base.router).calls, 0);
    call_world_fini(&world);
}

static void test_a_device_leaves_alone_and_the_last_one_ends_it(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    MAKE(&world, BOB, .type = CALL_TYPE_REJECT, .text = "not here", .is_device_scope = true);
    assert_words(&world, "11-c 1=delivered");
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept");
    assert_words(&world, "2=not-in-call");
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_REJECT, .text = "nor here",
         .is_device_scope = true);
    assert_words(&world, "1<nor here 1-c 21-c 1=delivered");
    assert_string_equal(world.report, "c alice>bob  rejected 0 0");
    call_world_fini(&world);
}

static void test_cancel_reaches_every_device(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    MAKE(&world, ALICE, .type = CALL_TYPE_CANCEL, .text = "never mind");
    assert_words(&world, "1-c 11<never mind 2=delivered 11-c 21<never mind 21-c");
    assert_string_equal(world.report, "c alice>bob  cancelled 0 0");
    call_world_fini(&world);
}

static void test_cancel_after_the_answer_has_no_effect(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    MAKE(&world, ALICE, .type = CALL_TYPE_CANCEL, .text = "never mind");
    assert_words(&world, "2=already-answered");
    assert_int_equal(router_stats(world.base.router).calls, 1);
    call_world_fini(&world);
}

static void test_ring_time_is_over(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    world_tick(&world.base, CALL_RING_MS - 1);
    assert_words(&world, "");
    world_tick(&world.base, 1);
    assert_words(&world, "1<!call-end:no-answer(bob) 1-c 11<!call-cancel:missed(alice) 11-c "
                         "21<!call-cancel:missed(alice) 21-c");
    assert_string_equal(world.report, "c alice>bob  missed 60000 0");
    call_world_fini(&world);
}

static void test_media_messages_go_to_the_one_device(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    MAKE(&world, ALICE, .type = CALL_TYPE_OFFER, .text = "offer");
    assert_words(&world, "11<offer 2=delivered");
    MAKE(&world, BOB, .type = CALL_TYPE_ANSWER, .text = "answer");
    assert_words(&world, "1<answer 2=delivered");
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_CANDIDATE, .text = "mine");
    assert_words(&world, "1=answered-elsewhere");
    call_world_fini(&world);
}

static void test_before_the_answer_media_messages_go_to_all(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    MAKE(&world, ALICE, .type = CALL_TYPE_OFFER, .text = "offer");
    assert_words(&world, "11<offer 21<offer 2=delivered");
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_ANSWER, .text = "answer");
    assert_words(&world, "1<answer 1=delivered");
    call_world_fini(&world);
}

static void test_either_party_ends_it(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    world.base.now_ms += 3000;
    MAKE(&world, BOB, .type = CALL_TYPE_END, .text = "bye");
    assert_words(&world, "1<bye 1-c 11-c 2=delivered");
    assert_string_equal(world.report, "c alice>bob pb completed 0 3000");
    call_world_fini(&world);
    init_answered(&world);
    MAKE(&world, ALICE, .type = CALL_TYPE_END, .text = "bye");
    assert_words(&world, "1-c 11<bye 2=delivered 11-c");
    call_world_fini(&world);
}

static void test_glare(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    MAKE(&world, .session_id = 21, .user = "bob", .device = "lb", .type = CALL_TYPE_START,
         .to = "alice", .call_id = "other", .text = "start");
    assert_words(&world, "1=glare:c");
    MAKE(&world, BOBS_LAPTOP, .type = CALL_TYPE_ACCEPT, .text = "accept");
    assert_words(&world, "1<accept 1+c 11<!call-cancel:answered-elsewhere(alice) 11-c 21+c "
                         "2=delivered");
    call_world_fini(&world);
}

static void test_others_have_no_say(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    come(&world, 12, "eve", "");
    call_world_flow(&world);
    for (enum call_type type = CALL_TYPE_ACCEPT; type < CALL_TYPE_COUNT; type++) {
        world.words[0] = '\0';
        MAKE(&world, .session_id = 12, .user = "eve", .device = "", .type = type, .to = "alice",
             .call_id = "c", .text = "x");
        call_world_flow(&world);
        assert_non_null(strstr(world.words, "=not-in-call"));
        assert_null(strstr(world.words, "<"));
    }
    world.words[0] = '\0';
    MAKE(&world, .session_id = 12, .user = "eve", .device = "", .type = CALL_TYPE_START,
         .to = "alice", .call_id = "c", .text = "x");
    assert_words(&world, "9=call-exists");
    MAKE(&world, .session_id = 1, .user = "alice", .device = "pa", .type = CALL_TYPE_CANCEL,
         .to = "eve", .call_id = "c", .text = "x");
    assert_words(&world, "2=not-in-call");
    MAKE(&world, .session_id = 1, .user = "alice", .device = "pa", .type = CALL_TYPE_END,
         .to = "bob", .call_id = "unheard", .text = "x");
    assert_words(&world, "3=no-such-call");
    call_world_fini(&world);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct call_world world;
    call_world_init(&world);
    come(&world, 1, "alice", "pa");
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start");
    assert_words(&world, "1=user-offline");
    assert_string_equal(world.report, "c alice>bob  offline 0 0");
    assert_int_equal(router_stats(world.base.router).calls, 0);
    call_world_fini(&world);
}

static void test_a_callee_who_has_just_left_is_waited_for(void **state)
{
    (void)state;
    struct call_world world;
    init_three(&world);
    go(&world, 11);
    go(&world, 21);
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start");
    MAKE(&world, ALICE, .type = CALL_TYPE_OFFER, .text = "offer");
    assert_words(&world, "1+c");
    come(&world, 12, "bob", "new");
    assert_words(&world, "12+c 12<ring:start 1=delivered 12<offer 2=delivered");
    call_world_fini(&world);
}

static void test_a_callee_who_does_not_come_back_is_offline(void **state)
{
    (void)state;
    struct call_world world;
    init_three(&world);
    go(&world, 11);
    go(&world, 21);
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start");
    world_tick(&world.base, WORLD_HOLD_MS);
    assert_words(&world, "1+c 1-c 1=user-offline");
    assert_string_equal(world.report, "c alice>bob  offline 2000 0");
    world_tick(&world.base, 60000);
    assert_int_equal(router_stats(world.base.router).users, 1);
    call_world_fini(&world);
}

static void test_cancelled_before_anybody_was_there(void **state)
{
    (void)state;
    struct call_world world;
    init_three(&world);
    go(&world, 11);
    go(&world, 21);
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start");
    MAKE(&world, ALICE, .type = CALL_TYPE_CANCEL, .text = "never mind");
    assert_words(&world, "1+c 1-c 2=delivered");
    come(&world, 12, "bob", "new");
    assert_words(&world, "1=user-offline");
    call_world_fini(&world);
}

static void test_a_device_that_comes_while_it_rings_rings_too(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    come(&world, 12, "bob", "new");
    assert_words(&world, "12+c 12<ring:start");
    MAKE(&world, .session_id = 12, .user = "bob", .device = "new", .type = CALL_TYPE_ACCEPT,
         .to = "alice", .call_id = "c", .text = "accept");
    assert_words(&world, "1<accept 1+c 11<!call-cancel:answered-elsewhere(alice) 11-c 12+c "
                         "1=delivered 21<!call-cancel:answered-elsewhere(alice) 21-c");
    call_world_fini(&world);
}

static void test_a_device_gets_what_waited_when_it_is_back(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    go(&world, 11);
    MAKE(&world, ALICE, .type = CALL_TYPE_OFFER, .text = "offer");
    MAKE(&world, ALICE, .type = CALL_TYPE_CANDIDATE, .text = "candidate");
    assert_words(&world, "");
    come(&world, 22, "bob", "pb");
    assert_words(&world, "22+c 22<offer 2=delivered 22<candidate 3=delivered");
    MAKE(&world, .session_id = 22, .user = "bob", .device = "pb", .type = CALL_TYPE_END,
         .to = "alice", .call_id = "c", .text = "bye");
    assert_words(&world, "1<bye 1-c 22-c 1=delivered");
    call_world_fini(&world);
}

static void test_a_device_that_stays_away_ends_the_call(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    go(&world, 11);
    world_tick(&world.base, CALL_GRACE_MS - 1);
    assert_words(&world, "");
    world_tick(&world.base, 1);
    assert_words(&world, "1<!call-end:connection-lost(bob) 1-c");
    assert_string_equal(world.report, "c alice>bob pb connection-lost 0 10000");
    call_world_fini(&world);
}

static void test_a_caller_that_stays_away_ends_the_ringing(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    go(&world, 1);
    world_tick(&world.base, CALL_GRACE_MS);
    assert_words(&world, "11<!call-cancel:connection-lost(alice) 11-c "
                         "21<!call-cancel:connection-lost(alice) 21-c");
    call_world_fini(&world);
}

static void test_when_all_ringing_devices_stay_away_the_caller_hears(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    go(&world, 11);
    world_tick(&world.base, CALL_GRACE_MS / 2);
    go(&world, 21);
    world_tick(&world.base, CALL_GRACE_MS / 2);
    assert_words(&world, "");
    world_tick(&world.base, CALL_GRACE_MS / 2);
    assert_words(&world, "1<!call-end:unreachable(bob) 1-c");
    call_world_fini(&world);
}

static void test_a_device_that_was_lost_rings_again_when_it_is_back(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    go(&world, 21);
    world_tick(&world.base, CALL_GRACE_MS);
    assert_words(&world, "");
    come(&world, 22, "bob", "lb");
    assert_words(&world, "22+c 22<ring:start");
    MAKE(&world, .session_id = 22, .user = "bob", .device = "lb", .type = CALL_TYPE_ACCEPT,
         .to = "alice", .call_id = "c", .text = "accept");
    assert_words(&world, "1<accept 1+c 11<!call-cancel:answered-elsewhere(alice) 11-c 22+c "
                         "1=delivered");
    call_world_fini(&world);
}

static void test_a_cancel_that_one_device_missed_is_said_again(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    world.answer = OUTCOME_COUNT;
    MAKE(&world, ALICE, .type = CALL_TYPE_CANCEL, .text = "never mind");
    assert_words(&world, "1-c 11<never mind 11-c 21<never mind 21-c");
    world_disconnect(&world.base, 2);
    world.answer = OUTCOME_DELIVERED;
    world_connect(&world.base, 2, 202);
    come(&world, 22, "bob", "lb");
    assert_words(&world, "22<never mind");
    call_world_fini(&world);
}

static void test_an_away_device_hears_of_the_end_when_it_is_back(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    go(&world, 21);
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept");
    assert_words(&world, "1<accept 1+c 11+c 1=delivered");
    come(&world, 22, "bob", "lb");
    assert_words(&world, "22<!call-cancel:answered-elsewhere(alice)");
    MAKE(&world, ALICE, .type = CALL_TYPE_END, .text = "bye");
    assert_words(&world, "1-c 11<bye 2=delivered 11-c");
    call_world_fini(&world);
}

static void test_what_comes_back_undelivered_waits_for_its_device(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    world.answer = OUTCOME_COUNT;
    MAKE(&world, ALICE, .type = CALL_TYPE_OFFER, .text = "offer");
    assert_words(&world, "11<offer");
    go(&world, 11);
    world_answer(&world.base, 1, 0, 2, 11, OUTCOME_USER_OFFLINE);
    MAKE(&world, ALICE, .type = CALL_TYPE_CANDIDATE, .text = "candidate");
    assert_words(&world, "");
    world.answer = OUTCOME_DELIVERED;
    come(&world, 12, "bob", "pb");
    assert_words(&world, "12+c 12<offer 2=delivered 12<candidate 3=delivered");
    call_world_fini(&world);
}

static void test_a_device_that_is_one_too_many_at_once(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    uint64_t since_ms = world.base.now_ms - 1;
    for (uint64_t i = 0; i < WORLD_DEVICES_MAX; i++) {
        char device[] = {(char)('a' + i), '\0'};
        come(&world, i < 8 ? 12 + i : 14 + i, "bob", device);
    }
    call_world_flow(&world);
    world.words[0] = '\0';
    assert_true(world_send_attach(&world.base, 0, 9, since_ms, "bob", "old"));
    assert_words(&world, "");
    call_world_fini(&world);
}

static void test_the_end_waits_for_a_device_that_is_back_before_it(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    world.answer = OUTCOME_COUNT;
    MAKE(&world, BOB, .type = CALL_TYPE_END, .text = "bye");
    assert_words(&world, "1<bye 1-c 11-c");
    go(&world, 1);
    come(&world, 2, "alice", "pa");
    world.answer = OUTCOME_DELIVERED;
    world_answer(&world.base, 0, 1, 2, 1, OUTCOME_USER_OFFLINE);
    assert_words(&world, "2<bye 2=delivered");
    call_world_fini(&world);
}

static void test_a_notice_to_a_gateway_that_dies_is_said_again(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    world.answer = OUTCOME_COUNT;
    MAKE(&world, BOB, .type = CALL_TYPE_REJECT, .text = "no");
    assert_words(&world, "1<no 1-c 11-c 21<!call-cancel:rejected-elsewhere(alice) 21-c");
    world_disconnect(&world.base, 2);
    world.answer = OUTCOME_DELIVERED;
    world_connect(&world.base, 2, 202);
    come(&world, 22, "bob", "lb");
    assert_words(&world, "22<!call-cancel:rejected-elsewhere(alice)");
    call_world_fini(&world);
}

static void test_repeats_are_harmless(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start", .hash = 1);
    assert_words(&world, "2=delivered");
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    assert_words(&world, "2=delivered");
    MAKE(&world, BOB, .type = CALL_TYPE_END, .text = "bye", .hash = 4);
    assert_words(&world, "1<bye 1-c 11-c 3=delivered");
    MAKE(&world, BOB, .type = CALL_TYPE_END, .text = "bye", .hash = 4);
    assert_words(&world, "4=delivered");
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start", .hash = 9);
    assert_words(&world, "3=call-exists");
    MAKE(&world, ALICE, .type = CALL_TYPE_START, .text = "start", .hash = 1);
    assert_words(&world, "4=no-such-call");
    assert_int_equal(world.report_count, 1);
    call_world_fini(&world);
}

static void test_a_gateway_that_missed_a_move_does_not_undo_it(void **state)
{
    (void)state;
    struct call_world world;
    init_calling(&world);
    struct kept_leg before[CALL_LEGS_MAX];
    memcpy(before, world.legs, sizeof before);
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    call_world_flow(&world);
    memcpy(world.legs, before, sizeof before);
    world_disconnect(&world.base, 1);
    world_connect(&world.base, 1, world_instance(1));
    come_again(&world, 11, "bob", "pb");
    call_world_flow(&world);
    world.words[0] = '\0';
    MAKE(&world, BOB, .type = CALL_TYPE_ACCEPT, .text = "accept", .hash = 2);
    assert_words(&world, "2=delivered");
    call_world_fini(&world);
}

static void test_bounds(void **state)
{
    (void)state;
    static const char *const ids[] = {"c0", "c1", "c2", "c3"};
    struct call_world world;
    init_three(&world);
    for (size_t i = 0; i < CALL_USER_MAX; i++) {
        MAKE(&world, .session_id = 1, .user = "alice", .device = "pa", .type = CALL_TYPE_START,
             .to = "bob", .call_id = ids[i], .text = "start");
    }
    call_world_flow(&world);
    world.words[0] = '\0';
    MAKE(&world, .session_id = 1, .user = "alice", .device = "pa", .type = CALL_TYPE_START,
         .to = "bob", .call_id = ids[CALL_USER_MAX], .text = "start");
    assert_words(&world, "4=too-many-calls");
    call_world_fini(&world);
}

static void test_ended_calls_have_a_bound(void **state)
{
    (void)state;
    struct call_world world;
    init_three(&world);
    char id[32];
    for (int i = 0; i < CALLS_ENDED_MAX + 100; i++) {
        (void)snprintf(id, sizeof id, "c%d", i);
        MAKE(&world, .session_id = 1, .user = "alice", .device = "pa", .type = CALL_TYPE_START,
             .to = "bob", .call_id = id, .text = "start");
        MAKE(&world, .session_id = 1, .user = "alice", .device = "pa", .type = CALL_TYPE_CANCEL,
             .to = "bob", .call_id = id, .text = "cancel");
        call_world_flow(&world);
        world.words[0] = '\0';
    }
    assert_int_equal(router_stats(world.base.router).calls, 0);
    world_tick(&world.base, 1);
    assert_int_equal(router_stats(world.base.router).ended_calls, CALLS_ENDED_MAX);
    call_world_fini(&world);
}

static void test_an_ended_call_is_forgotten(void **state)
{
    (void)state;
    struct call_world world;
    init_answered(&world);
    MAKE(&world, BOB, .type = CALL_TYPE_END, .text = "bye");
    call_world_flow(&world);
    go(&world, 1);
    go(&world, 11);
    go(&world, 21);
    for (int i = 0; i < 5; i++) {
        world_tick(&world.base, CALL_GRACE_MS);
    }
    assert_int_equal(router_stats(world.base.router).users, 0);
    assert_false(router_needs_tick(world.base.router));
    call_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_accept_wins),
        cmocka_unit_test(test_ringing_goes_to_the_caller),
        cmocka_unit_test(test_reject_ends_it_everywhere),
        cmocka_unit_test(test_a_device_leaves_alone_and_the_last_one_ends_it),
        cmocka_unit_test(test_cancel_reaches_every_device),
        cmocka_unit_test(test_cancel_after_the_answer_has_no_effect),
        cmocka_unit_test(test_ring_time_is_over),
        cmocka_unit_test(test_media_messages_go_to_the_one_device),
        cmocka_unit_test(test_before_the_answer_media_messages_go_to_all),
        cmocka_unit_test(test_either_party_ends_it),
        cmocka_unit_test(test_glare),
        cmocka_unit_test(test_others_have_no_say),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_a_callee_who_has_just_left_is_waited_for),
        cmocka_unit_test(test_a_callee_who_does_not_come_back_is_offline),
        cmocka_unit_test(test_cancelled_before_anybody_was_there),
        cmocka_unit_test(test_a_device_that_comes_while_it_rings_rings_too),
        cmocka_unit_test(test_a_device_gets_what_waited_when_it_is_back),
        cmocka_unit_test(test_a_device_that_stays_away_ends_the_call),
        cmocka_unit_test(test_a_caller_that_stays_away_ends_the_ringing),
        cmocka_unit_test(test_when_all_ringing_devices_stay_away_the_caller_hears),
        cmocka_unit_test(test_a_device_that_was_lost_rings_again_when_it_is_back),
        cmocka_unit_test(test_a_cancel_that_one_device_missed_is_said_again),
        cmocka_unit_test(test_an_away_device_hears_of_the_end_when_it_is_back),
        cmocka_unit_test(test_what_comes_back_undelivered_waits_for_its_device),
        cmocka_unit_test(test_a_device_that_is_one_too_many_at_once),
        cmocka_unit_test(test_the_end_waits_for_a_device_that_is_back_before_it),
        cmocka_unit_test(test_a_notice_to_a_gateway_that_dies_is_said_again),
        cmocka_unit_test(test_repeats_are_harmless),
        cmocka_unit_test(test_a_gateway_that_missed_a_move_does_not_undo_it),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_ended_calls_have_a_bound),
        cmocka_unit_test(test_an_ended_call_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
