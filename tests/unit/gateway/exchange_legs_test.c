/* What a broker tells of a session's parts in calls is told to the one that comes after it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

static void tell_leg(struct exchange_fixture *fixture, const struct fake_client *client,
                     const char *call_id, const char *leg_state)
{
    broker_puts_leg(fixture, client->session->id, call_id, leg_state);
    assert_true(receive(fixture));
}

static void the_next_broker_hears_them_behind_their_sessions(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    struct fake_client bob;
    struct fake_client carol;
    link_comes_up(fixture);
    attach_fully(fixture, &alice, "alice");
    attach_fully(fixture, &bob, "bob");
    attach_fully(fixture, &carol, "carol");
    tell_leg(fixture, &alice, "c1", "caller");
    tell_leg(fixture, &carol, "c1", "callee");
    tell_leg(fixture, &alice, "c2", "callee");
    tell_leg(fixture, &alice, "c1", "answered");
    expect_out(fixture, ""); /* whoever told it knows it */
    for (int i = 0; i < 2; i++) {
        link_goes_down(fixture);
        link_greets(fixture);
        expect_out(fixture, "attach 0 alice/phone again;leg 0 c1 answered;leg 0 c2 callee;"
                            "attach 1 bob/phone again;"
                            "attach 2 carol/phone again;leg 2 c1 callee;synced;");
    }
    link_gets_ready(fixture);
    expect_out(fixture, "");
}

static void what_is_over_is_not_told(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    struct fake_client bob;
    link_comes_up(fixture);
    attach_fully(fixture, &alice, "alice");
    attach_fully(fixture, &bob, "bob");
    tell_leg(fixture, &alice, "c1", "x");
    tell_leg(fixture, &alice, "c2", "x");
    tell_leg(fixture, &bob, "c1", "x");
    tell_leg(fixture, &alice, "c1", "");
    tell_leg(fixture, &bob, "c1", "");
    link_goes_down(fixture);
    link_greets(fixture);
    expect_out(fixture, "attach 0 alice/phone again;leg 0 c2 x;attach 1 bob/phone again;synced;");
}

static void they_go_with_their_session(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    struct fake_client bob;
    link_comes_up(fixture);
    attach_fully(fixture, &alice, "alice");
    uint64_t gone_id = alice.session->id;
    tell_leg(fixture, &alice, "c1", "x");
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    attach(fixture, &bob, "bob"); /* in alice's place */
    expect_out(fixture, "detach 0;attach 0 bob/phone;");
    broker_puts_leg(fixture, gone_id, "c1", "late");
    broker_puts_leg(fixture, UINT64_MAX, "c1", "strange");
    assert_true(receive(fixture));
    link_goes_down(fixture);
    link_greets(fixture);
    expect_out(fixture, "attach 0 bob/phone;synced;");
}

static void whoever_is_on_its_way_out_is_not_spoken_of(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    struct fake_client bob;
    link_comes_up(fixture);
    attach_fully(fixture, &alice, "alice");
    attach_fully(fixture, &bob, "bob");
    tell_leg(fixture, &alice, "c1", "x");
    tell_leg(fixture, &bob, "c1", "x");
    submit(fixture, &alice, "1"); /* keeps her there */
    expect_out(fixture, "submit 1 0;");
    assert_false(exchange_retire(fixture->exchange, alice.session));
    tell_leg(fixture, &alice, "c1", "y");
    link_goes_down(fixture);
    link_greets(fixture);
    expect_out(fixture, "attach 1 bob/phone again;leg 1 c1 x;synced;");
}

enum { TIGHT_MAX_BYTES = 1024, LEG_COUNT = 12 };

static void tell_many(struct exchange_fixture *fixture, const struct fake_client *client)
{
    char leg_state[LINK_LEG_STATE_MAX_BYTES + 1] = {0};
    memset(leg_state, 'x', LINK_LEG_STATE_MAX_BYTES);
    for (int i = 0; i < LEG_COUNT; i++) {
        char call_id[8];
        (void)snprintf(call_id, sizeof call_id, "c%d", i);
        tell_leg(fixture, client, call_id, leg_state);
    }
}

/* One turn after the other until synced; each leg of the session is written to `legs` as the number
 * of its call. */
static void collect_legs(struct exchange_fixture *fixture, uint64_t session_id, struct buffer *legs)
{
    bool is_synced = false;
    for (int turns = 0; turns < 10 * LEG_COUNT && !is_synced; turns++) {
        exchange_pump(fixture->exchange);
        assert_false(exchange_is_stuck(fixture->exchange));
        struct slice batch = buffer_slice(&fixture->out);
        struct link_record record;
        while (link_record_decode(&batch, &record) == PARSE_DONE) {
            assert_false(is_synced);
            is_synced = record.kind == LINK_SYNCED;
            if (record.kind == LINK_LEG && record.leg.session_id == session_id) {
                buffer_put(legs, slice_drop(record.leg.call_id, 1));
                buffer_put_u8(legs, ' ');
            }
        }
        buffer_clear(&fixture->out);
    }
    assert_true(is_synced);
}

static void however_many_there_are_they_come_before_synced(void **state)
{
    (void)state;
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = TIGHT_MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    struct buffer legs;
    buffer_init(&legs, TEXT_MAX_BYTES);
    struct fake_client clients[3];
    link_comes_up(fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        attach_fully(fixture, &clients[i], "somebody");
        tell_many(fixture, &clients[i]);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        link_goes_down(fixture);
        link_greets(fixture);
        collect_legs(fixture, clients[i].session->id, &legs);
        expect_text(&legs, "0 1 2 3 4 5 6 7 8 9 10 11 ");
    }
    buffer_fini(&legs);
    exchange_fixture_free(fixture);
}

/* The first turn has room for alice and two of her legs: the second one ends beyond the middle. */
static struct exchange_fixture *tell_in_part(struct fake_client *alice, struct fake_client *bob)
{
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = TIGHT_MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    link_comes_up(fixture);
    attach_fully(fixture, alice, "alice");
    attach_fully(fixture, bob, "bob");
    tell_many(fixture, alice);
    tell_leg(fixture, bob, "c77", "x");
    link_goes_down(fixture);
    link_greets(fixture);
    exchange_pump(fixture->exchange);
    buffer_clear(&fixture->out);
    assert_true(alice->session->is_announced);
    assert_false(bob->session->is_announced);
    return fixture;
}

static void whoever_goes_in_the_middle_of_it_holds_nobody_up(void **state)
{
    (void)state;
    struct fake_client alice;
    struct fake_client bob;
    struct exchange_fixture *fixture = tell_in_part(&alice, &bob);
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "detach 0;attach 1 bob/phone again;leg 1 c77 x;synced;");
    exchange_fixture_free(fixture);
    fixture = tell_in_part(&alice, &bob);
    assert_false(exchange_retire(fixture->exchange, alice.session));
    expect_out(fixture, "retire 0;attach 1 bob/phone again;leg 1 c77 x;synced;");
    exchange_fixture_free(fixture);
}

static void they_may_change_in_the_middle_of_it(void **state)
{
    (void)state;
    struct fake_client alice;
    struct fake_client bob;
    struct exchange_fixture *fixture = tell_in_part(&alice, &bob);
    struct buffer legs;
    buffer_init(&legs, TEXT_MAX_BYTES);
    tell_leg(fixture, &alice, "c0", ""); /* that one has been told */
    tell_leg(fixture, &alice, "c5", "");
    tell_leg(fixture, &alice, "c7", "changed");
    tell_leg(fixture, &alice, "c99", "new");
    collect_legs(fixture, alice.session->id, &legs);
    expect_text(&legs, "2 3 4 6 7 8 9 10 11 99 ");
    link_goes_down(fixture);
    link_greets(fixture);
    collect_legs(fixture, alice.session->id, &legs);
    expect_text(&legs, "1 2 3 4 6 7 8 9 10 11 99 ");
    buffer_fini(&legs);
    exchange_fixture_free(fixture);
}

static void a_link_that_ends_in_the_middle_of_it_begins_anew(void **state)
{
    (void)state;
    struct fake_client alice;
    struct fake_client bob;
    struct exchange_fixture *fixture = tell_in_part(&alice, &bob);
    struct buffer legs;
    buffer_init(&legs, TEXT_MAX_BYTES);
    link_goes_down(fixture);
    link_greets(fixture);
    collect_legs(fixture, alice.session->id, &legs);
    expect_text(&legs, "0 1 2 3 4 5 6 7 8 9 10 11 ");
    buffer_fini(&legs);
    exchange_fixture_free(fixture);
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(the_next_broker_hears_them_behind_their_sessions),
        EXCHANGE_TEST(what_is_over_is_not_told),
        EXCHANGE_TEST(they_go_with_their_session),
        EXCHANGE_TEST(whoever_is_on_its_way_out_is_not_spoken_of),
        cmocka_unit_test(however_many_there_are_they_come_before_synced),
        cmocka_unit_test(whoever_goes_in_the_middle_of_it_holds_nobody_up),
        cmocka_unit_test(they_may_change_in_the_middle_of_it),
        cmocka_unit_test(a_link_that_ends_in_the_middle_of_it_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
