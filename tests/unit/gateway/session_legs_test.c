/* Legs: kept in the order in which they came, replaced in their place, within their bound; checked
 * against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/identity.h"
#include "common/link_codec.h"
#include "gateway/session_legs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MODEL_SESSIONS = 40, /* the map grows */
    MODEL_CALLS = 6,
    MODEL_STEPS = 50000,
    STATE_MAX_BYTES = 16,
};

static struct session_legs legs;

static int set_up(void **state)
{
    (void)state;
    return session_legs_init(&legs) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    session_legs_fini(&legs);
    return 0;
}

static void set(uint64_t session_id, const char *call_id, const char *leg_state)
{
    session_legs_set(&legs, session_id, slice_from_string(call_id), slice_from_string(leg_state));
}

/* All legs of a session: "callId=state;" each. */
static void expect(uint64_t session_id, const char *expected)
{
    char text[1024] = "";
    size_t len = 0;
    uint64_t number = 0;
    const struct session_leg *leg = NULL;
    while ((leg = session_legs_next(&legs, session_id, number)) != NULL) {
        assert_true(leg->number > number);
        number = leg->number;
        struct slice call_id = session_leg_call_id(leg);
        struct slice leg_state = session_leg_state(leg);
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s=%.*s;", (int)call_id.len,
                                (const char *)call_id.data, (int)leg_state.len,
                                (const char *)leg_state.data);
        assert_true(len < sizeof text);
    }
    assert_string_equal(text, expected);
}

static void each_session_has_its_own(void **state)
{
    (void)state;
    set(1, "c1", "caller");
    set(2, "c1", "callee");
    set(1, "c2", "x");
    expect(1, "c1=caller;c2=x;");
    expect(2, "c1=callee;");
    expect(3, "");
    set(2, "c1", "");
    expect(2, "");
    expect(1, "c1=caller;c2=x;");
}

static void a_new_state_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    set(1, "c1", "a");
    set(1, "c2", "b");
    set(1, "c3", "c");
    set(1, "c2", "a much longer one than it was before");
    expect(1, "c1=a;c2=a much longer one than it was before;c3=c;");
    set(1, "c1", "1");
    set(1, "c3", "3");
    expect(1, "c1=1;c2=a much longer one than it was before;c3=3;");
}

static void what_is_over_is_forgotten(void **state)
{
    (void)state;
    set(1, "c1", "a");
    set(1, "c2", "b");
    set(1, "c3", "c");
    set(1, "c2", "");
    set(1, "c2", ""); /* twice */
    set(1, "c9", ""); /* never heard of */
    set(7, "c1", "");
    expect(1, "c1=a;c3=c;");
    set(1, "c2", "again");
    expect(1, "c1=a;c3=c;c2=again;");
    session_legs_forget(&legs, 1);
    session_legs_forget(&legs, 1);
    session_legs_forget(&legs, 7);
    expect(1, "");
    assert_int_equal(legs.lists.count, 0);
    assert_null(legs.first);
}

/* Whoever goes through them may stop, and go on later. */
static void the_next_one_is_found_whatever_has_changed_meanwhile(void **state)
{
    (void)state;
    set(1, "c1", "a");
    set(1, "c2", "b");
    set(1, "c3", "c");
    uint64_t second = session_legs_next(&legs, 1, session_legs_next(&legs, 1, 0)->number)->number;
    set(1, "c1", "");
    set(1, "c2", "");
    const struct session_leg *third = session_legs_next(&legs, 1, second);
    assert_true(slice_equal_string(session_leg_call_id(third), "c3"));
    set(1, "c3", "changed");
    set(1, "c1", "back");
    third = session_legs_next(&legs, 1, second);
    assert_true(slice_equal_string(session_leg_state(third), "changed"));
    const struct session_leg *fourth = session_legs_next(&legs, 1, third->number);
    assert_true(slice_equal_string(session_leg_call_id(fourth), "c1"));
    assert_null(session_legs_next(&legs, 1, fourth->number));
    assert_null(session_legs_next(&legs, 1, UINT64_MAX));
}

static void beyond_the_bound_they_are_dropped(void **state)
{
    (void)state;
    char call_id[16];
    for (int i = 0; i < SESSION_LEGS_MAX + 3; i++) {
        (void)snprintf(call_id, sizeof call_id, "c%d", i);
        set(1, call_id, "x");
    }
    set(2, "c", "x"); /* of each session */
    size_t count = 0;
    uint64_t number = 0;
    const struct session_leg *leg = NULL;
    while ((leg = session_legs_next(&legs, 1, number)) != NULL) {
        (void)snprintf(call_id, sizeof call_id, "c%zu", count++);
        assert_true(slice_equal_string(session_leg_call_id(leg), call_id));
        number = leg->number;
    }
    assert_int_equal(count, SESSION_LEGS_MAX);
    set(1, "c5", "y"); /* one that is there may change */
    set(1, "c5", "");
    set(1, "late", "z"); /* and leaves room */
    leg = session_legs_next(&legs, 1, number);
    assert_true(slice_equal_string(session_leg_call_id(leg), "late"));
    expect(2, "c=x;");
}

static void the_longest(void **state)
{
    (void)state;
    uint8_t call_id[CALL_ID_MAX_BYTES];
    uint8_t bytes[LINK_LEG_STATE_MAX_BYTES];
    memset(call_id, 0xff, sizeof call_id);
    memset(bytes, 0, sizeof bytes);
    session_legs_set(&legs, UINT64_MAX, slice_of(call_id, sizeof call_id),
                     slice_of(bytes, sizeof bytes));
    const struct session_leg *leg = session_legs_next(&legs, UINT64_MAX, 0);
    assert_true(slice_equal(session_leg_call_id(leg), slice_of(call_id, sizeof call_id)));
    assert_true(slice_equal(session_leg_state(leg), slice_of(bytes, sizeof bytes)));
}

static void it_agrees_with_a_naive_model(void **state)
{
    (void)state;
    static char model[MODEL_SESSIONS][MODEL_CALLS][STATE_MAX_BYTES];
    memset(model, 0, sizeof model);
    unsigned int seed = 11;
    for (int step = 0; step < MODEL_STEPS; step++) {
        uint64_t session = (uint64_t)rand_r(&seed) % MODEL_SESSIONS;
        size_t call = (size_t)rand_r(&seed) % MODEL_CALLS;
        char call_id[8];
        (void)snprintf(call_id, sizeof call_id, "c%zu", call);
        int dice = rand_r(&seed) % 10;
        if (dice == 0) {
            session_legs_forget(&legs, session);
            memset(model[session], 0, sizeof model[session]);
        } else {
            char *leg_state = model[session][call];
            if (dice < 4) {
                leg_state[0] = '\0';
            } else {
                (void)snprintf(leg_state, STATE_MAX_BYTES, "s%d", step);
            }
            set(session, call_id, leg_state);
        }
        size_t expected = 0;
        for (size_t i = 0; i < MODEL_CALLS; i++) {
            expected += model[session][i][0] != '\0' ? 1 : 0;
        }
        uint64_t number = 0;
        const struct session_leg *leg = NULL;
        while ((leg = session_legs_next(&legs, session, number)) != NULL) {
            size_t of_call = (size_t)(session_leg_call_id(leg).data[1] - '0');
            assert_true(slice_equal_string(session_leg_state(leg), model[session][of_call]));
            number = leg->number;
            expected--;
        }
        assert_int_equal(expected, 0);
    }
}

/* What is left is freed, which the sanitizers see; and one that never was is no harm. */
static void the_end(void **state)
{
    (void)state;
    for (uint64_t session = 0; session < MODEL_SESSIONS; session++) {
        set(session, "c1", "x");
        set(session, "c2", "y");
    }
    struct session_legs zeros = {0};
    session_legs_fini(&zeros);
}

int main(void)
{
#define LEGS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LEGS_TEST(each_session_has_its_own),
        LEGS_TEST(a_new_state_takes_the_place_of_the_old_one),
        LEGS_TEST(what_is_over_is_forgotten),
        LEGS_TEST(the_next_one_is_found_whatever_has_changed_meanwhile),
        LEGS_TEST(beyond_the_bound_they_are_dropped),
        LEGS_TEST(the_longest),
        LEGS_TEST(it_agrees_with_a_naive_model),
        LEGS_TEST(the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
