#include "broker/holds.h"

#include "tests/unit/broker/transfers_fixture.h"

#include <stdlib.h>

enum { AWAY_MS = 1000, LEG_AWAY_MS = 3000, USERS_MAX = 3, MESSAGES_MAX = 6, NOW_MS = 5000 };

struct holds_fixture {
    struct fixture base;
    struct holds holds;
};

static void init(struct holds_fixture *fixture)
{
    fixture_init(&fixture->base, KEPT_MAX_BYTES);
    struct holds_config config = {AWAY_MS, LEG_AWAY_MS, USERS_MAX, MESSAGES_MAX};
    holds_init(&fixture->holds, &fixture->base.all, &config);
}

static void fini(struct holds_fixture *fixture)
{
    holds_fini(&fixture->holds);
    fixture_fini(&fixture->base);
}

/* A user who has just left, with a hold where there is room for one. */
static struct user *come_and_go(struct holds_fixture *fixture, const char *user_id, uint64_t now_ms)
{
    struct session *session = attach(&fixture->base, 1, 1, user_id);
    struct user *user = session->user;
    directory_remove(&fixture->base.directory, session);
    holds_begin(&fixture->holds, user, HOLD_AWAY, now_ms);
    return user;
}

static void end_hold(struct holds_fixture *fixture, struct user *user)
{
    holds_end(&fixture->holds, user->hold);
    directory_release_user(&fixture->base.directory, user);
}

/* A message that has been sent as number `number` before (0: never). */
static struct transfer *add(struct holds_fixture *fixture, uint32_t source_slot, uint64_t seq,
                            struct user *user, uint64_t number)
{
    struct transfer *transfer = open_from(&fixture->base, source_slot, seq, user);
    transfer->number = number;
    assert_true(holds_add(&fixture->holds, user->hold, transfer));
    return transfer;
}

static void expect_next(struct holds_fixture *fixture, struct user *user, uint64_t seq)
{
    struct transfer *transfer = holds_take(&fixture->holds, user->hold);
    assert_non_null(transfer);
    assert_int_equal(transfer->key.seq, seq);
    assert_int_equal(transfer->state, TRANSFER_DONE);
    transfers_close(&fixture->base.all, transfer);
}

static void expect_empty(struct holds_fixture *fixture, struct user *user)
{
    assert_null(holds_take(&fixture->holds, user->hold));
    assert_int_equal(user->hold->count, 0);
}

static struct hold *first_over(const struct holds_fixture *fixture, enum hold_state state,
                               uint64_t now_ms)
{
    return holds_first_over(&fixture->holds, state, now_ms);
}

static void test_a_hold_keeps_its_user_until_it_ends(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    assert_non_null(bob->hold);
    assert_ptr_equal(bob->hold->user, bob);
    assert_int_equal(bob->hold->state, HOLD_AWAY);
    assert_int_equal(fixture.holds.count, 1);
    directory_release_user(&fixture.base.directory, bob);
    assert_ptr_equal(find_user(&fixture.base, "bob"), bob);
    holds_end(&fixture.holds, bob->hold);
    assert_null(bob->hold);
    assert_int_equal(fixture.holds.count, 0);
    directory_release_user(&fixture.base.directory, bob);
    assert_null(find_user(&fixture.base, "bob"));
    fini(&fixture);
}

static void test_an_absence_is_over_after_its_time(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    assert_null(first_over(&fixture, HOLD_AWAY, UINT64_MAX));
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    struct user *carol = come_and_go(&fixture, "carol", NOW_MS + 1);
    assert_null(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS - 1));
    assert_ptr_equal(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS), bob->hold);
    assert_null(first_over(&fixture, HOLD_SETTLING, UINT64_MAX));
    end_hold(&fixture, bob);
    assert_null(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS));
    assert_ptr_equal(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS + 1), carol->hold);
    fini(&fixture);
}

static void test_settling_is_over_after_its_own_time(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    struct user *carol = come_and_go(&fixture, "carol", NOW_MS);
    uint64_t back_ms = NOW_MS + AWAY_MS - 1;
    (void)attach(&fixture.base, 2, 1, "carol");
    holds_begin(&fixture.holds, carol, HOLD_SETTLING, back_ms);
    assert_int_equal(fixture.holds.count, 2);
    assert_int_equal(carol->hold->state, HOLD_SETTLING);
    assert_null(first_over(&fixture, HOLD_SETTLING, back_ms + HOLDS_SETTLE_MS - 1));
    assert_ptr_equal(first_over(&fixture, HOLD_SETTLING, back_ms + HOLDS_SETTLE_MS), carol->hold);
    assert_ptr_equal(first_over(&fixture, HOLD_AWAY, UINT64_MAX), bob->hold);
    fini(&fixture);
}

/* A user comes and goes, and comes: each time its hold begins anew, and its messages stay. */
static void test_a_hold_changes_its_state_with_its_queue(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    struct user *carol = come_and_go(&fixture, "carol", NOW_MS + 5);
    const struct hold *hold = bob->hold;
    (void)add(&fixture, 0, 1, bob, 0);
    holds_begin(&fixture.holds, bob, HOLD_SETTLING, NOW_MS + 10);
    (void)add(&fixture, 0, 2, bob, 0);
    holds_begin(&fixture.holds, bob, HOLD_AWAY, NOW_MS + 20);
    assert_ptr_equal(bob->hold, hold);
    assert_int_equal(fixture.holds.count, 2);
    assert_null(first_over(&fixture, HOLD_SETTLING, UINT64_MAX));
    assert_ptr_equal(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS + 5), carol->hold);
    end_hold(&fixture, carol);
    assert_null(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS + 19));
    assert_ptr_equal(first_over(&fixture, HOLD_AWAY, NOW_MS + AWAY_MS + 20), hold);
    expect_next(&fixture, bob, 1);
    expect_next(&fixture, bob, 2);
    expect_empty(&fixture, bob);
    fini(&fixture);
}

static void test_without_time_there_are_no_holds(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    fixture_init(&fixture.base, KEPT_MAX_BYTES);
    struct holds_config config = {0, 0, USERS_MAX, MESSAGES_MAX};
    holds_init(&fixture.holds, &fixture.base.all, &config);
    struct user *bob = attach(&fixture.base, 1, 1, "bob")->user;
    holds_begin(&fixture.holds, bob, HOLD_AWAY, NOW_MS);
    assert_null(bob->hold);
    holds_begin(&fixture.holds, bob, HOLD_SETTLING, NOW_MS);
    assert_null(bob->hold);
    assert_int_equal(fixture.holds.count, 0);
    fini(&fixture);
}

static void test_beyond_users_max_there_is_no_hold(void **state)
{
    (void)state;
    static const char *const names[USERS_MAX] = {"bob", "carol", "dave"};
    struct holds_fixture fixture;
    init(&fixture);
    struct user *users[USERS_MAX];
    for (size_t i = 0; i < USERS_MAX; i++) {
        users[i] = come_and_go(&fixture, names[i], NOW_MS);
        assert_non_null(users[i]->hold);
    }
    struct user *eve = come_and_go(&fixture, "eve", NOW_MS);
    assert_null(eve->hold);
    assert_int_equal(fixture.holds.count, USERS_MAX);
    holds_begin(&fixture.holds, users[1], HOLD_SETTLING, NOW_MS); /* who has one keeps it */
    assert_int_equal(users[1]->hold->state, HOLD_SETTLING);
    end_hold(&fixture, users[0]);
    holds_begin(&fixture.holds, eve, HOLD_AWAY, NOW_MS);
    assert_non_null(eve->hold);
    assert_int_equal(fixture.holds.count, USERS_MAX);
    fini(&fixture);
}

static void test_messages_wait_only_in_a_hold(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = attach(&fixture.base, 1, 1, "bob")->user;
    struct transfer *transfer = open_transfer(&fixture.base, 1, bob);
    assert_null(bob->hold);
    assert_int_equal(transfer->state, TRANSFER_DONE);
    holds_begin(&fixture.holds, bob, HOLD_SETTLING, NOW_MS);
    assert_true(holds_add(&fixture.holds, bob->hold, transfer));
    assert_int_equal(transfer->state, TRANSFER_HELD);
    assert_int_equal(bob->hold->count, 1);
    expect_none_done(&fixture.base);
    fini(&fixture);
}

static void test_messages_max_bounds_each_hold(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    struct user *carol = come_and_go(&fixture, "carol", NOW_MS);
    uint64_t seq = 0;
    while (seq < MESSAGES_MAX) {
        (void)add(&fixture, 0, ++seq, bob, 0);
    }
    struct transfer *beyond = open_transfer(&fixture.base, ++seq, bob);
    assert_false(holds_add(&fixture.holds, beyond->user->hold, beyond));
    beyond->number = 1; /* not even one that comes back */
    assert_false(holds_add(&fixture.holds, beyond->user->hold, beyond));
    assert_int_equal(beyond->state, TRANSFER_DONE);
    (void)add(&fixture, 0, ++seq, carol, 0);
    expect_next(&fixture, bob, 1);
    assert_true(holds_add(&fixture.holds, beyond->user->hold, beyond));
    assert_int_equal(bob->hold->count, MESSAGES_MAX);
    fini(&fixture);
}

static void test_new_messages_wait_in_order(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    struct user *carol = come_and_go(&fixture, "carol", NOW_MS);
    (void)add(&fixture, 0, 30, bob, 0);
    (void)add(&fixture, 1, 20, bob, 0);
    (void)add(&fixture, 0, 99, carol, 0);
    (void)add(&fixture, 2, 10, bob, 0);
    expect_next(&fixture, bob, 30);
    expect_next(&fixture, bob, 20);
    (void)add(&fixture, 0, 31, bob, 0);
    expect_next(&fixture, bob, 10);
    expect_next(&fixture, bob, 31);
    expect_empty(&fixture, bob);
    (void)add(&fixture, 0, 32, bob, 0);
    expect_next(&fixture, bob, 32);
    expect_next(&fixture, carol, 99);
    fini(&fixture);
}

/* In whatever order they come back: as they were sent, in front of those that never were. */
static void test_messages_that_come_back_stand_in_front(void **state)
{
    (void)state;
    for (unsigned int seed = 1; seed <= 300; seed++) {
        struct holds_fixture fixture;
        init(&fixture);
        struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
        srandom(seed);
        uint64_t new_count = 0;
        bool is_back[MESSAGES_MAX + 1] = {false};
        for (int i = 0; i < MESSAGES_MAX; i++) {
            uint64_t number = (uint64_t)random() % (MESSAGES_MAX + 1);
            if (number > 0 && !is_back[number]) {
                is_back[number] = true;
                (void)add(&fixture, 0, number, bob, number);
            } else {
                (void)add(&fixture, 0, 100 + new_count++, bob, 0);
            }
        }
        for (uint64_t number = 1; number <= MESSAGES_MAX; number++) {
            if (is_back[number]) {
                expect_next(&fixture, bob, number);
            }
        }
        for (uint64_t i = 0; i < new_count; i++) {
            expect_next(&fixture, bob, 100 + i);
        }
        expect_empty(&fixture, bob);
        fini(&fixture);
    }
}

/* Whichever places of the queue are the slot's: the rest stays, in order. */
static void test_end_slot_closes_what_waits_from_it(void **state)
{
    (void)state;
    for (unsigned int pattern = 0; pattern < 1U << MESSAGES_MAX; pattern++) {
        struct holds_fixture fixture;
        init(&fixture);
        struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
        struct user *carol = come_and_go(&fixture, "carol", NOW_MS);
        size_t kept = 0;
        for (unsigned int i = 0; i < MESSAGES_MAX; i++) {
            uint32_t slot = (pattern >> i & 1) != 0 ? 2 : 0;
            kept += slot == 0 ? 1 : 0;
            (void)add(&fixture, slot, i, bob, 0);
        }
        (void)add(&fixture, 2, 100, carol, 0);
        holds_end_slot(&fixture.holds, 2);
        assert_int_equal(bob->hold->count, kept);
        assert_int_equal(fixture.base.all.count, kept);
        for (unsigned int i = 0; i < MESSAGES_MAX; i++) {
            if ((pattern >> i & 1) == 0) {
                expect_next(&fixture, bob, i);
            }
        }
        expect_empty(&fixture, bob);
        expect_empty(&fixture, carol); /* its hold stays, without messages */
        (void)add(&fixture, 0, 200, bob, 0);
        expect_next(&fixture, bob, 200);
        fini(&fixture);
    }
}

static void test_fini_leaves_messages_to_the_transfers(void **state)
{
    (void)state;
    struct holds_fixture fixture;
    init(&fixture);
    struct user *bob = come_and_go(&fixture, "bob", NOW_MS);
    struct user *carol = come_and_go(&fixture, "carol", NOW_MS);
    (void)add(&fixture, 0, 1, bob, 0);
    (void)attach(&fixture.base, 1, 2, "dave");
    holds_begin(&fixture.holds, find_user(&fixture.base, "dave"), HOLD_SETTLING, NOW_MS);
    assert_non_null(carol->hold);
    holds_fini(&fixture.holds);
    assert_int_equal(fixture.holds.count, 0);
    assert_null(find_user(&fixture.base, "carol"));
    assert_ptr_equal(find_user(&fixture.base, "bob"), bob);
    assert_int_equal(fixture.base.all.count, 1);
    fixture_fini(&fixture.base); /* ASan sees a leak */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hold_keeps_its_user_until_it_ends),
        cmocka_unit_test(test_an_absence_is_over_after_its_time),
        cmocka_unit_test(test_settling_is_over_after_its_own_time),
        cmocka_unit_test(test_a_hold_changes_its_state_with_its_queue),
        cmocka_unit_test(test_without_time_there_are_no_holds),
        cmocka_unit_test(test_beyond_users_max_there_is_no_hold),
        cmocka_unit_test(test_messages_wait_only_in_a_hold),
        cmocka_unit_test(test_messages_max_bounds_each_hold),
        cmocka_unit_test(test_new_messages_wait_in_order),
        cmocka_unit_test(test_messages_that_come_back_stand_in_front),
        cmocka_unit_test(test_end_slot_closes_what_waits_from_it),
        cmocka_unit_test(test_fini_leaves_messages_to_the_transfers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
