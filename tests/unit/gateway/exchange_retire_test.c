/* Sessions on their way out: out of the directory first, closed once nothing is under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

/* Not done at once: on_retired follows. */
static void retire(struct exchange_fixture *fixture, struct fake_client *client)
{
    assert_false(exchange_retire(fixture->exchange, client->session));
}

static void a_session_is_retired_once_the_broker_says_so(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    retire(fixture, &alice);
    expect_out(fixture, "retire 0;");
    expect_log(fixture, "");
    broker_puts_retired(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "retired alice.0;");
    expect_out(fixture, ""); /* the broker has forgotten it: there is nothing to detach */
    assert_int_equal(exchange_session_count(fixture->exchange), 0);
}

static void without_a_link_it_is_retired_at_once(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    link_goes_down(fixture);
    assert_true(exchange_retire(fixture->exchange, alice.session));
    expect_log(fixture, "");
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    expect_log(fixture, "");
}

static void who_is_not_announced_yet_is_retired_at_once_and_never_announced(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    assert_true(exchange_retire(fixture->exchange, alice.session));
    expect_out(fixture, "");
    expect_log(fixture, "");
}

static void its_last_outcome_comes_first(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    submit(fixture, &alice, "2");
    retire(fixture, &alice);
    expect_out(fixture, "retire 0;submit 1 0;submit 2 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    broker_puts_retired(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "delivered alice.0 bob 1;");
    broker_puts_outcome(fixture, 2, OUTCOME_USER_OFFLINE);
    assert_true(receive(fixture));
    expect_log(fixture, "user-offline alice.0 bob 2;retired alice.0;");
}

static void the_brokers_word_may_be_the_last(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    retire(fixture, &alice);
    expect_out(fixture, "retire 0;submit 1 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    expect_log(fixture, "delivered alice.0 bob 1;");
    broker_puts_retired(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "retired alice.0;");
}

static void an_outcome_by_deadline_is_an_outcome_as_well(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    link_goes_down(fixture);
    submit(fixture, &alice, "1");
    submit(fixture, &alice, "2");
    retire(fixture, &alice);
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS - 1);
    expect_log(fixture, "");
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS);
    expect_log(fixture, "unavailable alice.0 bob 1;unavailable alice.0 bob 2;retired alice.0;");
    assert_int_equal(exchange_session_count(fixture->exchange), 0);
}

static void who_waits_for_the_broker_is_retired_when_the_link_goes(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client clients[4];
    static const char *const names[] = {"alice", "bob", "carol", "dave"};
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        attach_fully(fixture, &clients[i], names[i]);
    }
    submit(fixture, &clients[1], "1");
    retire(fixture, &clients[0]);
    retire(fixture, &clients[1]);
    retire(fixture, &clients[3]);
    expect_out(fixture, "retire 0;retire 1;retire 3;submit 1 1;");
    link_goes_down(fixture);
    expect_log(fixture, "retired alice.0;retired dave.3;"); /* bob's message is under way */
    link_greets(fixture);
    expect_out(fixture, "attach 2 carol/phone again;synced;");
    link_gets_ready(fixture);
    expect_out(fixture, "repeat 1 1;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    expect_log(fixture, "delivered bob.1 bob 1;retired bob.1;");
    assert_int_equal(exchange_session_count(fixture->exchange), 1);
}

static void a_second_link_that_goes_retires_nobody_twice(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    retire(fixture, &alice);
    link_goes_down(fixture);
    link_greets(fixture);
    expect_out(fixture, "synced;");
    link_goes_down(fixture);
    expect_log(fixture, "");
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS);
    expect_log(fixture, "unavailable alice.0 bob 1;retired alice.0;");
}

static void what_is_delivered_before_the_brokers_word_still_arrives(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    retire(fixture, &alice);
    expect_out(fixture, "retire 0;");
    broker_puts_deliver(fixture, 1, alice.session->id, "late");
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 late;");
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    expect_out(fixture, "delivered 1 0;");
    broker_puts_retired(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "retired alice.0;");
}

/* Closed, it leaves it behind: the broker keeps it for the user's next session. */
static void what_a_slow_reader_has_not_taken_by_then_goes_back(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    broker_puts_deliver(fixture, 1, alice.session->id, "x");
    assert_true(receive(fixture));
    retire(fixture, &alice);
    broker_puts_retired(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 x;retired alice.0;");
    expect_out(fixture, "retire 0;user-offline 1 0;");
}

static void who_goes_of_its_own_while_retiring_is_not_detached_as_well(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    uint64_t id = alice.session->id;
    submit(fixture, &alice, "1");
    retire(fixture, &alice);
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "retire 0;submit 1 0;");
    broker_puts_retired(fixture, id); /* it could not know */
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    expect_log(fixture, "");
}

static void the_word_for_a_session_that_is_not_retiring_ends_the_link(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    broker_puts_retired(fixture, alice.session->id);
    assert_false(receive(fixture));
    expect_log(fixture, "");
    assert_false(alice.session->is_retired);
}

static void a_retire_that_does_not_fit_is_settled_by_the_end_of_the_link(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    fixture->out.max_bytes = 10;
    retire(fixture, &alice);
    assert_true(exchange_is_stuck(fixture->exchange));
    link_goes_down(fixture);
    expect_log(fixture, "retired alice.0;");
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(a_session_is_retired_once_the_broker_says_so),
        EXCHANGE_TEST(without_a_link_it_is_retired_at_once),
        EXCHANGE_TEST(who_is_not_announced_yet_is_retired_at_once_and_never_announced),
        EXCHANGE_TEST(its_last_outcome_comes_first),
        EXCHANGE_TEST(the_brokers_word_may_be_the_last),
        EXCHANGE_TEST(an_outcome_by_deadline_is_an_outcome_as_well),
        EXCHANGE_TEST(who_waits_for_the_broker_is_retired_when_the_link_goes),
        EXCHANGE_TEST(a_second_link_that_goes_retires_nobody_twice),
        EXCHANGE_TEST(what_is_delivered_before_the_brokers_word_still_arrives),
        EXCHANGE_TEST(what_a_slow_reader_has_not_taken_by_then_goes_back),
        EXCHANGE_TEST(who_goes_of_its_own_while_retiring_is_not_detached_as_well),
        EXCHANGE_TEST(the_word_for_a_session_that_is_not_retiring_ends_the_link),
        EXCHANGE_TEST(a_retire_that_does_not_fit_is_settled_by_the_end_of_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
