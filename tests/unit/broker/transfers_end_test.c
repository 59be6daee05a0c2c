/* How transfers end that nobody answers: their time is over, or a gateway is gone. */
#include "tests/unit/broker/transfers_fixture.h"

static void test_expiry_is_in_order_and_exact(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *near = attach(&fixture, 1, 1, "bob");
    struct session *far = attach(&fixture, 2, 1, "carol");
    (void)send_to(&fixture, 1, near, 100);
    (void)send_to(&fixture, 2, near, 100);
    (void)send_to(&fixture, 3, far, 101);
    transfers_expire(&fixture.all, 99);
    expect_none_done(&fixture);
    transfers_expire(&fixture.all, 100);
    expect_done(&fixture, 1, OUTCOME_UNCONFIRMED);
    expect_done(&fixture, 2, OUTCOME_UNCONFIRMED);
    expect_none_done(&fixture);
    assert_int_equal(transfers_leg_count(&fixture.all, 1), 0);
    assert_int_equal(transfers_leg_count(&fixture.all, 2), 1);
    transfers_expire(&fixture.all, UINT64_MAX);
    expect_done(&fixture, 3, OUTCOME_UNCONFIRMED);
    assert_int_equal(fixture.all.count, 0);
    fixture_fini(&fixture);
}

static void test_expiry_answers_legs_to_sessions_that_left(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *left = attach(&fixture, 1, 1, "bob");
    struct session *stays = attach(&fixture, 2, 2, "bob");
    struct user *bob = left->user;
    struct transfer *transfer = open_transfer(&fixture, 1, bob);
    assert_true(transfers_add_leg(&fixture.all, transfer, left));
    assert_true(transfers_add_leg(&fixture.all, transfer, stays));
    transfers_send(&fixture.all, transfer, 100);
    leave(&fixture, left);
    assert_int_equal(bob->departed_legs, 1);
    transfers_expire(&fixture.all, 100);
    assert_int_equal(bob->departed_legs, 0);
    assert_int_equal(stays->legs, 0);
    expect_done(&fixture, 1, OUTCOME_UNCONFIRMED);
    fixture_fini(&fixture);
}

static void test_an_expired_one_that_one_device_heard_is_delivered(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *phone = attach(&fixture, 1, 1, "bob");
    struct transfer *transfer = open_transfer(&fixture, 1, phone->user);
    assert_true(transfers_add_leg(&fixture.all, transfer, phone));
    assert_true(transfers_add_leg(&fixture.all, transfer, attach(&fixture, 2, 2, "bob")));
    transfers_send(&fixture.all, transfer, 100);
    answer(&fixture, 1, 2, 2, OUTCOME_DELIVERED);
    expect_none_done(&fixture);
    transfers_expire(&fixture.all, 100);
    expect_done(&fixture, 1, OUTCOME_DELIVERED);
    fixture_fini(&fixture);
}

static void test_end_slot_leaves_its_legs_unconfirmed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *first = attach(&fixture, 1, 5, "bob");
    (void)send_to(&fixture, 1, first, 100);
    struct session *other = attach(&fixture, 2, 6, "bob");
    struct transfer *transfer = open_transfer(&fixture, 2, first->user);
    assert_true(transfers_add_leg(&fixture.all, transfer, first));
    assert_true(transfers_add_leg(&fixture.all, transfer, other));
    assert_true(transfers_add_leg(&fixture.all, transfer, attach(&fixture, 1, 7, "bob")));
    transfers_send(&fixture.all, transfer, 100);
    (void)send_to(&fixture, 3, other, 100);
    transfers_end_slot(&fixture.all, 1);
    expect_done(&fixture, 1, OUTCOME_UNCONFIRMED);
    expect_none_done(&fixture);
    assert_int_equal(transfers_leg_count(&fixture.all, 1), 0);
    assert_int_equal(transfers_leg_count(&fixture.all, 2), 2);
    answer(&fixture, 2, 2, 6, OUTCOME_DELIVERED);
    expect_done(&fixture, 2, OUTCOME_DELIVERED);
    fixture_fini(&fixture);
}

static void test_end_slot_ends_legs_to_sessions_that_left(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *left = attach(&fixture, 1, 1, "bob");
    struct user *bob = left->user;
    (void)send_to(&fixture, 1, left, 100);
    (void)send_to(&fixture, 2, left, 100);
    leave(&fixture, left); /* the sessions go first, or the slot: both ways must do */
    assert_int_equal(bob->departed_legs, 2);
    transfers_end_slot(&fixture.all, 1);
    assert_int_equal(bob->departed_legs, 0);
    expect_done(&fixture, 1, OUTCOME_UNCONFIRMED);
    assert_non_null(find_user(&fixture, "bob"));
    expect_done(&fixture, 2, OUTCOME_UNCONFIRMED);
    assert_null(find_user(&fixture, "bob"));
    fixture_fini(&fixture);
}

static void test_end_slot_closes_what_comes_from_it(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *bob = attach(&fixture, 1, 1, "bob");
    struct session *left = attach(&fixture, 2, 1, "carol");
    (void)send_to(&fixture, 1, bob, 100);
    (void)send_to(&fixture, 2, attach(&fixture, 0, 1, "alice"), 100); /* to itself */
    (void)send_to(&fixture, 3, left, 100);
    leave(&fixture, left);
    transfers_end_slot(&fixture.all, 0);
    expect_none_done(&fixture);
    assert_int_equal(fixture.all.count, 0);
    assert_int_equal(fixture.all.kept_bytes, 0);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        assert_int_equal(transfers_leg_count(&fixture.all, slot), 0);
    }
    assert_null(transfers_find(&fixture.all, key_of(1)));
    assert_null(find_user(&fixture, "carol"));
    (void)send_to(&fixture, 1, bob, 100); /* the key is free again */
    answer(&fixture, 1, 1, 1, OUTCOME_DELIVERED);
    expect_done(&fixture, 1, OUTCOME_DELIVERED);
    fixture_fini(&fixture);
}

static void test_fini_closes_transfers_of_every_state(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, KEPT_MAX_BYTES);
    struct session *bob = attach(&fixture, 1, 1, "bob");
    struct session *left = attach(&fixture, 1, 2, "carol");
    (void)send_to(&fixture, 1, bob, 100);
    (void)send_to(&fixture, 2, left, 100);
    (void)open_transfer(&fixture, 3, bob->user);
    transfers_hold(&fixture.all, open_transfer(&fixture, 4, left->user));
    leave(&fixture, left);
    assert_int_equal(fixture.all.count, 4);
    fixture_fini(&fixture); /* ASan sees a leak */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expiry_is_in_order_and_exact),
        cmocka_unit_test(test_expiry_answers_legs_to_sessions_that_left),
        cmocka_unit_test(test_an_expired_one_that_one_device_heard_is_delivered),
        cmocka_unit_test(test_end_slot_leaves_its_legs_unconfirmed),
        cmocka_unit_test(test_end_slot_ends_legs_to_sessions_that_left),
        cmocka_unit_test(test_end_slot_closes_what_comes_from_it),
        cmocka_unit_test(test_fini_closes_transfers_of_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
