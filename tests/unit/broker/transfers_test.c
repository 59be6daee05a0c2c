#include "tests/unit/broker/transfers_fixture.h"

static void test_what_is_opened_is_found_and_whole(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct user *bob = attach(&fixture, 1, 1, "bob")->user;
    uint8_t payload[] = {'a', 0, 'b'};
    struct transfer_start start = {
        .key = key_of(7),
        .source_slot = 2,
        .user = bob,
        .deadline_ms = 1234,
        .is_repeat = true,
        .payload = slice_of(payload, sizeof payload),
    };
    struct transfer *transfer = transfers_open(&fixture.all, &start);
    assert_non_null(transfer);
    memset(payload, 0xff, sizeof payload); /* it has a copy */
    assert_ptr_equal(transfers_find(&fixture.all, key_of(7)), transfer);
    assert_null(transfers_find(&fixture.all, key_of(8)));
    assert_null(transfers_find(&fixture.all, (struct transfer_key){SOURCE_INSTANCE + 1, 7}));
    assert_int_equal(transfer->state, TRANSFER_DONE);
    assert_int_equal(transfer->outcome, OUTCOME_USER_OFFLINE);
    assert_int_equal(transfer->number, 0);
    assert_int_equal(transfer->source_slot, 2);
    assert_int_equal(transfer->deadline_ms, 1234);
    assert_true(transfer->is_repeat);
    assert_ptr_equal(transfer->user, bob);
    assert_true(slice_equal(transfer_payload(transfer), slice_of("a\0b", 3)));
    transfers_close(&fixture.all, transfer);
    assert_null(transfers_find(&fixture.all, key_of(7)));
    fixture_fini(&fixture);
}

static void test_one_leg_is_under_way_until_its_answer(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *bob = attach(&fixture, 2, 1, "bob");
    struct transfer *transfer = send_to(&fixture, 1, bob, 100);
    assert_int_equal(transfer->state, TRANSFER_UNDER_WAY);
    expect_none_done(&fixture);
    assert_int_equal(transfers_leg_count(&fixture.all, 2), 1);
    assert_int_equal(bob->legs, 1);
    answer(&fixture, 1, 2, 1, OUTCOME_DELIVERED);
    assert_int_equal(transfers_leg_count(&fixture.all, 2), 0);
    assert_int_equal(bob->legs, 0);
    expect_done(&fixture, 1, OUTCOME_DELIVERED);
    expect_none_done(&fixture);
    assert_int_equal(fixture.all.count, 0);
    fixture_fini(&fixture);
}

static void test_without_a_leg_it_stays_done(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct user *bob = attach(&fixture, 1, 1, "bob")->user;
    struct transfer *transfer = open_transfer(&fixture, 1, bob);
    transfer_note(transfer, OUTCOME_OVERLOADED);
    transfers_send(&fixture.all, transfer, 100);
    expect_done(&fixture, 1, OUTCOME_OVERLOADED);
    fixture_fini(&fixture);
}

/* The best outcome stays, in whatever order they come. */
static void test_the_best_outcome_speaks_for_the_message(void **state)
{
    (void)state;
    static const enum outcome rising[] = {OUTCOME_USER_OFFLINE, OUTCOME_OVERLOADED,
                                          OUTCOME_UNCONFIRMED, OUTCOME_DELIVERED};
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct user *bob = attach(&fixture, 1, 1, "bob")->user;
    for (size_t a = 0; a < ARRAY_LENGTH(rising); a++) {
        for (size_t b = 0; b < ARRAY_LENGTH(rising); b++) {
            struct transfer *transfer = open_transfer(&fixture, 1, bob);
            transfer_note(transfer, rising[a]);
            transfer_note(transfer, rising[b]);
            transfers_send(&fixture.all, transfer, 100);
            expect_done(&fixture, 1, rising[a > b ? a : b]);
        }
    }
    fixture_fini(&fixture);
}

static void test_only_some_outcomes_can_be_a_leg_s(void **state)
{
    (void)state;
    assert_true(transfer_leg_can_end(OUTCOME_DELIVERED));
    assert_true(transfer_leg_can_end(OUTCOME_USER_OFFLINE));
    assert_true(transfer_leg_can_end(OUTCOME_OVERLOADED));
    assert_true(transfer_leg_can_end(OUTCOME_UNCONFIRMED));
    assert_false(transfer_leg_can_end(OUTCOME_BAD_JSON));
    assert_false(transfer_leg_can_end(OUTCOME_BAD_MESSAGE));
    assert_false(transfer_leg_can_end(OUTCOME_UNKNOWN_TYPE));
    assert_false(transfer_leg_can_end(OUTCOME_UNAVAILABLE));
}

/* The first leg lives in the transfer, the others beside it: each order of answers must do. */
static void test_legs_are_answered_in_every_order(void **state)
{
    (void)state;
    static const uint64_t orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                         {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *sessions[3];
    for (size_t i = 0; i < 3; i++) {
        sessions[i] = attach(&fixture, 1, i + 1, "bob");
    }
    for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
        struct transfer *transfer = open_transfer(&fixture, i, sessions[0]->user);
        for (size_t k = 0; k < 3; k++) {
            assert_true(transfers_add_leg(&fixture.all, transfer, sessions[k]));
        }
        transfers_send(&fixture.all, transfer, 100);
        for (size_t k = 0; k < 3; k++) {
            expect_none_done(&fixture);
            assert_int_equal(transfers_leg_count(&fixture.all, 1), 3 - k);
            answer(&fixture, i, 1, orders[i][k], OUTCOME_DELIVERED);
            answer(&fixture, i, 1, orders[i][k], OUTCOME_DELIVERED); /* once more: ignored */
        }
        expect_done(&fixture, i, OUTCOME_DELIVERED);
        assert_int_equal(transfers_leg_count(&fixture.all, 1), 0);
    }
    fixture_fini(&fixture);
}

static void test_an_answer_for_no_leg_is_ignored(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct transfer *transfer = send_to(&fixture, 1, attach(&fixture, 1, 7, "bob"), 100);
    answer(&fixture, 1, 2, 7, OUTCOME_DELIVERED); /* another slot */
    answer(&fixture, 1, 1, 8, OUTCOME_DELIVERED); /* another session */
    assert_int_equal(transfer->state, TRANSFER_UNDER_WAY);
    assert_int_equal(transfer->outcome, OUTCOME_USER_OFFLINE);
    transfers_expire(&fixture.all, 100);
    answer(&fixture, 1, 1, 7, OUTCOME_DELIVERED); /* too late */
    expect_done(&fixture, 1, OUTCOME_UNCONFIRMED);
    fixture_fini(&fixture);
}

static void test_legs_max_is_per_slot(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *many[LEGS_MAX + 1];
    for (uint64_t i = 0; i <= LEGS_MAX; i++) {
        many[i] = attach(&fixture, 1, i, "bob");
    }
    struct session *elsewhere = attach(&fixture, 2, 9, "bob");
    struct transfer *transfer = open_transfer(&fixture, 1, elsewhere->user);
    for (size_t i = 0; i < LEGS_MAX; i++) {
        assert_true(transfers_add_leg(&fixture.all, transfer, many[i]));
    }
    assert_false(transfers_add_leg(&fixture.all, transfer, many[LEGS_MAX]));
    assert_int_equal(many[LEGS_MAX]->legs, 0);
    assert_true(transfers_add_leg(&fixture.all, transfer, elsewhere));
    transfers_send(&fixture.all, transfer, 100);
    answer(&fixture, 1, 1, 3, OUTCOME_DELIVERED);
    transfer = open_transfer(&fixture, 2, elsewhere->user);
    assert_true(transfers_add_leg(&fixture.all, transfer, many[LEGS_MAX]));
    assert_false(transfers_add_leg(&fixture.all, transfer, many[0]));
    transfers_send(&fixture.all, transfer, 100);
    fixture_fini(&fixture); /* with both under way: ASan sees a leak */
}

static void test_kept_max_bytes_bounds_all_payloads(void **state)
{
    (void)state;
    enum { PAYLOAD_BYTES = 1000 };
    static const uint8_t payload[PAYLOAD_BYTES + 1];
    const size_t one = sizeof(struct transfer) + PAYLOAD_BYTES;
    struct fixture fixture;
    fixture_init(&fixture, 2 * one);
    struct user *bob = attach(&fixture, 1, 1, "bob")->user;
    struct transfer_start start = {.key = key_of(1), .user = bob};
    start.payload = slice_of(payload, PAYLOAD_BYTES);
    struct transfer *first = transfers_open(&fixture.all, &start);
    assert_non_null(first);
    assert_int_equal(fixture.all.kept_bytes, one);
    start.key = key_of(2);
    start.payload = slice_of(payload, PAYLOAD_BYTES + 1);
    assert_null(transfers_open(&fixture.all, &start));
    assert_null(transfers_find(&fixture.all, key_of(2)));
    assert_int_equal(bob->transfers, 1);
    start.payload = slice_of(payload, PAYLOAD_BYTES);
    assert_non_null(transfers_open(&fixture.all, &start));
    start.key = key_of(3);
    start.payload = slice_of(NULL, 0);
    assert_null(transfers_open(&fixture.all, &start)); /* even an empty one takes memory */
    transfers_close(&fixture.all, first);
    assert_int_equal(fixture.all.kept_bytes, one);
    assert_non_null(transfers_open(&fixture.all, &start));
    fixture_fini(&fixture);
}

static void test_a_held_one_waits_and_comes_back_done(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *session = attach(&fixture, 1, 1, "bob");
    struct transfer *first = open_transfer(&fixture, 1, session->user);
    struct transfer *second = open_transfer(&fixture, 2, session->user);
    assert_null(transfers_first_held(&fixture.all));
    transfers_hold(&fixture.all, first);
    transfers_hold(&fixture.all, second);
    assert_int_equal(first->state, TRANSFER_HELD);
    assert_ptr_equal(transfers_first_held(&fixture.all), first);
    expect_none_done(&fixture);
    transfers_expire(&fixture.all, UINT64_MAX); /* only what is under way expires */
    transfers_end_slot(&fixture.all, 0);
    expect_none_done(&fixture);
    assert_int_equal(fixture.all.count, 2);
    transfers_unhold(&fixture.all, second);
    assert_ptr_equal(transfers_first_done(&fixture.all), second);
    assert_true(transfers_add_leg(&fixture.all, second, session));
    transfers_send(&fixture.all, second, 100);
    answer(&fixture, 2, 1, 1, OUTCOME_DELIVERED);
    expect_done(&fixture, 2, OUTCOME_DELIVERED);
    transfers_unhold(&fixture.all, first);
    expect_done(&fixture, 1, OUTCOME_USER_OFFLINE);
    fixture_fini(&fixture);
}

static void test_what_came_back_is_held_and_sent_again(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *before = attach(&fixture, 1, 1, "bob");
    struct user *bob = before->user;
    struct transfer *transfer = send_to(&fixture, 1, before, 100);
    leave(&fixture, before);
    assert_int_equal(bob->departed_legs, 1);
    answer(&fixture, 1, 1, 1, OUTCOME_USER_OFFLINE); /* the session that left can still answer */
    assert_int_equal(bob->departed_legs, 0);
    assert_ptr_equal(transfers_first_done(&fixture.all), transfer);
    transfers_hold(&fixture.all, transfer);
    struct session *after = attach(&fixture, 2, 5, "bob");
    transfers_unhold(&fixture.all, transfer);
    assert_true(transfers_add_leg(&fixture.all, transfer, after));
    transfers_send(&fixture.all, transfer, 200);
    assert_true(slice_equal_string(transfer_payload(transfer), "hello"));
    answer(&fixture, 1, 2, 5, OUTCOME_DELIVERED);
    expect_done(&fixture, 1, OUTCOME_DELIVERED);
    fixture_fini(&fixture);
}

static void test_the_last_transfer_frees_its_user(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *session = attach(&fixture, 1, 1, "bob");
    struct transfer *under_way = send_to(&fixture, 1, session, 100);
    struct transfer *waiting = open_transfer(&fixture, 2, session->user);
    leave(&fixture, session);
    assert_non_null(find_user(&fixture, "bob"));
    transfers_close(&fixture.all, waiting);
    assert_non_null(find_user(&fixture, "bob"));
    transfers_close(&fixture.all, under_way); /* with a leg to a session that has left */
    assert_null(find_user(&fixture, "bob"));
    assert_int_equal(transfers_leg_count(&fixture.all, 1), 0);
    fixture_fini(&fixture);
}

/* In the steady state blocks go round: no more of them than were ever under way at once. */
static void test_memory_is_reused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *session = attach(&fixture, 1, 1, "bob");
    for (uint64_t seq = 1; seq <= 10000; seq++) {
        (void)send_to(&fixture, seq, session, seq);
        answer(&fixture, seq, 1, 1, OUTCOME_DELIVERED);
        expect_done(&fixture, seq, OUTCOME_DELIVERED);
    }
    assert_in_range(fixture.all.pool.kept_bytes, POOL_BLOCK_MIN_BYTES,
                    2 * (sizeof(struct transfer) + strlen("hello")));
    assert_int_equal(fixture.all.kept_bytes, 0);
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_opened_is_found_and_whole),
        cmocka_unit_test(test_one_leg_is_under_way_until_its_answer),
        cmocka_unit_test(test_without_a_leg_it_stays_done),
        cmocka_unit_test(test_the_best_outcome_speaks_for_the_message),
        cmocka_unit_test(test_only_some_outcomes_can_be_a_leg_s),
        cmocka_unit_test(test_legs_are_answered_in_every_order),
        cmocka_unit_test(test_an_answer_for_no_leg_is_ignored),
        cmocka_unit_test(test_legs_max_is_per_slot),
        cmocka_unit_test(test_kept_max_bytes_bounds_all_payloads),
        cmocka_unit_test(test_a_held_one_waits_and_comes_back_done),
        cmocka_unit_test(test_what_came_back_is_held_and_sent_again),
        cmocka_unit_test(test_the_last_transfer_frees_its_user),
        cmocka_unit_test(test_memory_is_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
