/* Sessions: ids find exactly the session they were given to, for ever; each begins anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/session.h"

#include <stdlib.h>

enum { MANY = 1000 };

static struct session *make(struct session_table *table, const char *user_id, const char *device_id)
{
    struct session *session =
        session_new(table, slice_from_string(user_id), slice_from_string(device_id));
    assert_non_null(session);
    return session;
}

static void a_session_keeps_its_names(void **state)
{
    (void)state;
    struct session_table table;
    session_table_init(&table);
    struct session *session = make(&table, "alice", "phone");
    struct session *nameless = make(&table, "bob", "");
    assert_true(slice_equal_string(session_user_id(session), "alice"));
    assert_true(slice_equal_string(session_device_id(session), "phone"));
    assert_int_equal(session_device_id(nameless).len, 0);
    assert_int_equal(table.count, 2);
    session_table_fini(&table);
}

static void a_new_session_is_in_no_state_yet_even_in_a_place_used_before(void **state)
{
    (void)state;
    struct session_table table;
    session_table_init(&table);
    struct session *before = make(&table, "alice", "");
    before->is_attached = before->is_announced = before->is_retiring = before->is_retired = true;
    before->unanswered_count = 1;
    session_free(&table, before);
    const struct session *session = make(&table, "bob", "");
    assert_false(session->is_attached || session->is_announced);
    assert_false(session->is_retiring || session->is_retired);
    assert_int_equal(session->unanswered_count, 0);
    assert_null(session->deliveries.first);
    assert_null(session->deliveries.last);
    session_table_fini(&table);
}

/* What became of the payloads it was handed is the exchange's memory, and outlives it. */
static void a_session_may_go_once_its_deliveries_are_over(void **state)
{
    (void)state;
    struct session_table table;
    struct deliveries deliveries;
    session_table_init(&table);
    deliveries_init(&deliveries, 10);
    struct session *session = make(&table, "alice", "");
    struct delivery_key key = {1, 1, session->id};
    assert_true(deliveries_prepare(&deliveries));
    deliveries_open(&deliveries, &key, 100, &session->deliveries, 1);
    deliveries_finish_first(&deliveries, &session->deliveries, OUTCOME_DELIVERED);
    session_free(&table, session);
    assert_int_equal(table.count, 0);
    enum outcome outcome = OUTCOME_COUNT;
    assert_int_equal(deliveries_look_up(&deliveries, &key, 100, NULL, &outcome), DELIVERY_IS_OVER);
    assert_int_equal(outcome, OUTCOME_DELIVERED);
    deliveries_fini(&deliveries);
    session_table_fini(&table);
}

static void an_id_is_never_given_again(void **state)
{
    (void)state;
    struct session_table table;
    session_table_init(&table);
    static uint64_t ids[MANY];
    for (int i = 0; i < MANY; i++) {
        struct session *session = make(&table, "alice", "");
        ids[i] = session->id;
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(ids[k], ids[i]);
            assert_null(session_find(&table, ids[k]));
        }
        assert_ptr_equal(session_find(&table, ids[i]), session);
        session_free(&table, session);
    }
    assert_int_equal(table.place_count, 1);
    session_table_fini(&table);
}

static void many_sessions_are_found_each_by_its_id(void **state)
{
    (void)state;
    struct session_table table;
    session_table_init(&table);
    static struct session *sessions[MANY];
    for (int i = 0; i < MANY; i++) {
        sessions[i] = make(&table, "alice", "");
    }
    for (int i = 0; i < MANY; i += 2) {
        session_free(&table, sessions[i]);
    }
    for (int i = 1; i < MANY; i += 2) {
        assert_ptr_equal(session_find(&table, sessions[i]->id), sessions[i]);
    }
    assert_int_equal(table.count, MANY / 2);
    session_table_fini(&table);
}

static void an_unknown_id_finds_nothing(void **state)
{
    (void)state;
    struct session_table table;
    session_table_init(&table);
    struct session *session = make(&table, "alice", "");
    assert_null(session_find(&table, 0));
    assert_null(session_find(&table, UINT64_MAX));
    assert_null(session_find(&table, session->id + 1));
    assert_null(session_find(&table, session->id + (UINT64_C(1) << 32)));
    session_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_keeps_its_names),
        cmocka_unit_test(a_new_session_is_in_no_state_yet_even_in_a_place_used_before),
        cmocka_unit_test(a_session_may_go_once_its_deliveries_are_over),
        cmocka_unit_test(an_id_is_never_given_again),
        cmocka_unit_test(many_sessions_are_found_each_by_its_id),
        cmocka_unit_test(an_unknown_id_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
