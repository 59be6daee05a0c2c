#include "broker/transfers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SLOTS = 3, LEGS_MAX = 5, SOURCE_INSTANCE = 77 };

static const uint8_t hash_key[16] = {42};

static struct transfers new_transfers(void)
{
    struct transfers all;
    assert_true(transfers_init(&all, SLOTS, LEGS_MAX, hash_key));
    return all;
}

static struct transfer_key key_of(uint64_t seq)
{
    return (struct transfer_key){.source_instance_id = SOURCE_INSTANCE, .seq = seq};
}

static struct transfer *open_transfer(struct transfers *all, uint64_t seq, uint64_t deadline_ms)
{
    struct transfer *transfer = transfers_open(all, 0, key_of(seq), deadline_ms);
    assert_non_null(transfer);
    return transfer;
}

/* One leg, to session 1 on `slot`. */
static void start_single(struct transfers *all, uint64_t seq, uint32_t slot, uint64_t deadline_ms)
{
    struct transfer *transfer = open_transfer(all, seq, deadline_ms);
    assert_true(transfers_add_leg(all, transfer, slot, 1));
    transfers_start(all, transfer);
}

static void expect_done(struct transfers *all, uint64_t seq, enum outcome outcome)
{
    struct transfer_result result;
    assert_true(transfers_pop_done(all, &result));
    assert_int_equal(result.source_slot, 0);
    assert_int_equal(result.seq, seq);
    assert_int_equal(result.outcome, outcome);
}

static void expect_none_done(struct transfers *all)
{
    struct transfer_result result;
    assert_false(transfers_pop_done(all, &result));
}

static void test_one_leg(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    start_single(&all, 1, 2, 100);
    expect_none_done(&all);
    assert_int_equal(all.leg_counts[2], 1);
    transfers_answer(&all, key_of(1), 2, 1, OUTCOME_DELIVERED);
    assert_int_equal(all.leg_counts[2], 0);
    expect_done(&all, 1, OUTCOME_DELIVERED);
    expect_none_done(&all);
    assert_int_equal(all.count, 0);
    transfers_fini(&all);
}

static void test_no_leg_is_done_at_once(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    struct transfer *transfer = open_transfer(&all, 1, 100);
    transfer_note(transfer, OUTCOME_OVERLOADED);
    expect_none_done(&all);
    transfers_start(&all, transfer);
    expect_done(&all, 1, OUTCOME_OVERLOADED);
    transfers_fini(&all);
}

/* The best outcome stays, in whatever order they come. */
static void test_ranks(void **state)
{
    (void)state;
    static const enum outcome rising[] = {OUTCOME_USER_OFFLINE, OUTCOME_OVERLOADED,
                                          OUTCOME_UNCONFIRMED, OUTCOME_DELIVERED};
    struct transfers all = new_transfers();
    for (size_t a = 0; a < ARRAY_LENGTH(rising); a++) {
        for (size_t b = 0; b < ARRAY_LENGTH(rising); b++) {
            struct transfer *transfer = open_transfer(&all, 1, 100);
            transfer_note(transfer, rising[a]);
            transfer_note(transfer, rising[b]);
            transfers_start(&all, transfer);
            expect_done(&all, 1, rising[a > b ? a : b]);
        }
    }
    transfers_fini(&all);
}

static void test_which_outcomes_a_leg_can_have(void **state)
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
static void test_legs_in_every_order(void **state)
{
    (void)state;
    static const uint64_t orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                         {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    struct transfers all = new_transfers();
    for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
        struct transfer *transfer = open_transfer(&all, i, 100);
        for (uint64_t session_id = 1; session_id <= 3; session_id++) {
            assert_true(transfers_add_leg(&all, transfer, 1, session_id));
        }
        transfers_start(&all, transfer);
        for (size_t k = 0; k < 3; k++) {
            expect_none_done(&all);
            assert_int_equal(all.leg_counts[1], 3 - k);
            transfers_answer(&all, key_of(i), 1, orders[i][k], OUTCOME_DELIVERED);
            transfers_answer(&all, key_of(i), 1, orders[i][k], OUTCOME_DELIVERED);
        }
        expect_done(&all, i, OUTCOME_DELIVERED);
        assert_int_equal(all.leg_counts[1], 0);
    }
    transfers_fini(&all);
}

static void test_legs_max(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    struct transfer *transfer = open_transfer(&all, 1, 100);
    for (uint64_t session_id = 1; session_id <= LEGS_MAX; session_id++) {
        assert_true(transfers_add_leg(&all, transfer, 1, session_id));
    }
    assert_false(transfers_add_leg(&all, transfer, 1, 99));
    assert_true(transfers_add_leg(&all, transfer, 2, 99));
    transfers_start(&all, transfer);
    transfers_answer(&all, key_of(1), 1, 3, OUTCOME_DELIVERED);
    transfer = open_transfer(&all, 2, 100);
    assert_true(transfers_add_leg(&all, transfer, 1, 100));
    assert_false(transfers_add_leg(&all, transfer, 1, 101));
    transfers_start(&all, transfer);
    transfers_fini(&all); /* with both under way: ASan sees a leak */
}

static void test_expiry_is_in_order_and_exact(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    start_single(&all, 1, 1, 100);
    start_single(&all, 2, 1, 100);
    start_single(&all, 3, 2, 101);
    transfers_expire(&all, 99);
    expect_none_done(&all);
    transfers_expire(&all, 100);
    expect_done(&all, 1, OUTCOME_UNCONFIRMED);
    expect_done(&all, 2, OUTCOME_UNCONFIRMED);
    expect_none_done(&all);
    assert_int_equal(all.leg_counts[1], 0);
    assert_int_equal(all.leg_counts[2], 1);
    transfers_expire(&all, UINT64_MAX);
    expect_done(&all, 3, OUTCOME_UNCONFIRMED);
    assert_int_equal(all.count, 0);
    transfers_fini(&all);
}

static void test_end_slot_as_target(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    start_single(&all, 1, 1, 100);
    struct transfer *transfer = open_transfer(&all, 2, 100);
    assert_true(transfers_add_leg(&all, transfer, 1, 5));
    assert_true(transfers_add_leg(&all, transfer, 2, 6));
    assert_true(transfers_add_leg(&all, transfer, 1, 7));
    transfers_start(&all, transfer);
    start_single(&all, 3, 2, 100);
    transfers_end_slot(&all, 1);
    expect_done(&all, 1, OUTCOME_UNCONFIRMED);
    expect_none_done(&all);
    assert_int_equal(all.leg_counts[1], 0);
    assert_int_equal(all.leg_counts[2], 2);
    transfers_answer(&all, key_of(2), 2, 6, OUTCOME_DELIVERED);
    expect_done(&all, 2, OUTCOME_DELIVERED);
    transfers_fini(&all);
}

static void test_end_slot_as_source(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    start_single(&all, 1, 1, 100);
    start_single(&all, 2, 0, 100); /* to itself */
    transfers_end_slot(&all, 0);
    expect_none_done(&all);
    assert_int_equal(all.count, 0);
    assert_int_equal(all.leg_counts[0], 0);
    assert_int_equal(all.leg_counts[1], 0);
    transfers_answer(&all, key_of(1), 1, 1, OUTCOME_DELIVERED);
    expect_none_done(&all);
    start_single(&all, 1, 1, 100); /* the key is free again */
    transfers_answer(&all, key_of(1), 1, 1, OUTCOME_DELIVERED);
    expect_done(&all, 1, OUTCOME_DELIVERED);
    transfers_fini(&all);
}

/* In the steady state blocks go round: no more of them than were ever under way at once. */
static void test_memory_is_reused(void **state)
{
    (void)state;
    struct transfers all = new_transfers();
    for (uint64_t seq = 1; seq <= 10000; seq++) {
        start_single(&all, seq, 1, seq);
        transfers_answer(&all, key_of(seq), 1, 1, OUTCOME_DELIVERED);
        expect_done(&all, seq, OUTCOME_DELIVERED);
    }
    assert_int_equal(all.pool.kept_bytes, POOL_BLOCK_MIN_BYTES);
    transfers_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_leg),
        cmocka_unit_test(test_no_leg_is_done_at_once),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_which_outcomes_a_leg_can_have),
        cmocka_unit_test(test_legs_in_every_order),
        cmocka_unit_test(test_legs_max),
        cmocka_unit_test(test_expiry_is_in_order_and_exact),
        cmocka_unit_test(test_end_slot_as_target),
        cmocka_unit_test(test_end_slot_as_source),
        cmocka_unit_test(test_memory_is_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
