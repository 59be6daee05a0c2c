/* The exchange towards its broker: one outcome for each deliver, evictions, and batches that no
 * broker of ours would send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

/* Four payloads of 10 bytes each wait in alice's queue. */
static void queue_four(struct exchange_fixture *fixture, struct fake_client *alice)
{
    link_comes_up(fixture);
    attach_fully(fixture, alice, "alice");
    for (uint64_t seq = 1; seq <= 4; seq++) {
        broker_puts_deliver(fixture, seq, alice->session->id, "0123456789");
    }
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 0123456789;deliver alice.0 0123456789;"
                        "deliver alice.0 0123456789;deliver alice.0 0123456789;");
    expect_out(fixture, "");
}

static void delivered_is_said_when_the_last_byte_is_written(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    exchange_written(fixture->exchange, alice.session, 9);
    expect_out(fixture, "");
    exchange_written(fixture->exchange, alice.session, 10);
    expect_out(fixture, "delivered 1 0;");
    exchange_written(fixture->exchange, alice.session, 19);
    expect_out(fixture, "");
    exchange_written(fixture->exchange, alice.session, 35);
    expect_out(fixture, "delivered 2 0;delivered 3 0;");
    exchange_written(fixture->exchange, alice.session, 40);
    exchange_written(fixture->exchange, alice.session, 40);
    expect_out(fixture, "delivered 4 0;");
}

static void who_goes_leaves_an_outcome_for_each_payload(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    detach(fixture, &alice, 15, 20, OUTCOME_OVERLOADED);
    expect_out(fixture, "delivered 1 0;unconfirmed 2 0;overloaded 3 0;overloaded 4 0;detach 0;");
}

static void what_was_not_begun_is_not_unconfirmed(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    detach(fixture, &alice, 20, 20, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "delivered 1 0;delivered 2 0;user-offline 3 0;user-offline 4 0;detach 0;");
}

static void what_is_written_after_the_link_went_is_told_to_nobody(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    link_goes_down(fixture);
    exchange_written(fixture->exchange, alice.session, 40);
    link_comes_up(fixture);
    expect_out(fixture, "attach 0 alice/phone;");
}

static void nobody_there_is_user_offline(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    struct fake_client bob;
    attach_fully(fixture, &alice, "alice");
    uint64_t gone_id = alice.session->id;
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    attach(fixture, &bob, "bob"); /* in alice's place, and not attached yet */
    expect_out(fixture, "detach 0;attach 0 bob/phone;");
    broker_puts_deliver(fixture, 1, gone_id, "x");
    broker_puts_deliver(fixture, 2, UINT64_MAX, "x");
    broker_puts_deliver(fixture, 3, bob.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "");
    expect_out(fixture, "user-offline 1 0;user-offline 2 4294967295;user-offline 3 0;");
}

static void a_full_queue_is_overloaded_and_costs_the_session(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    alice.is_full = true;
    broker_puts_deliver(fixture, 5, alice.session->id, "x");
    broker_puts_deliver(fixture, 6, alice.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "full alice.0;");
    expect_out(fixture, "overloaded 1 0;overloaded 2 0;overloaded 3 0;overloaded 4 0;detach 0;"
                        "overloaded 5 0;user-offline 6 0;");
    assert_int_equal(exchange_session_count(fixture->exchange), 0);
}

static void an_evicted_session_may_go_at_once(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    uint64_t id = alice.session->id;
    fixture->is_evicting = true;
    broker_puts_evict(fixture, id);
    broker_puts_evict(fixture, id);
    broker_puts_attached(fixture, id);
    assert_true(receive(fixture));
    expect_log(fixture, "evict alice.0 4501;");
    expect_out(fixture, "detach 0;");
}

/* Its client may have sent messages right behind the handshake. */
static void a_session_evicted_before_it_was_attached_submits_nothing(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    expect_out(fixture, "attach 0 alice/phone;");
    broker_puts_evict(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "evict alice.0 4501;");
    assert_false(submit_text(fixture, &alice, "1", slice_from_string("{}")));
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "detach 0;");
}

static void before_the_welcome_nothing_is_taken(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    for (int kind = LINK_WELCOME + 1; kind < LINK_RECORD_KIND_COUNT; kind++) {
        exchange_link_up(fixture->exchange, &fixture->out);
        struct link_record record = {.kind = (enum link_record_kind)kind};
        record.session.session_id = alice.session->id;
        broker_puts(fixture, record);
        assert_false(receive(fixture));
        link_goes_down(fixture);
    }
    expect_log(fixture, "");
}

static void a_second_welcome_and_another_version_are_refused(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    broker_puts_welcome(fixture);
    assert_false(receive(fixture));
    link_goes_down(fixture);
    exchange_link_up(fixture->exchange, &fixture->out);
    struct link_greeting greeting = {.version = LINK_VERSION + 1, .instance_id = 5};
    broker_puts(fixture, (struct link_record){.kind = LINK_WELCOME, .greeting = greeting});
    assert_false(receive(fixture));
    assert_false(exchange_is_greeted(fixture->exchange));
}

static void what_only_gateways_send_is_refused(void **state)
{
    struct exchange_fixture *fixture = *state;
    for (int kind = LINK_HELLO; kind <= LINK_DELIVERY_OUTCOME; kind++) {
        link_comes_up(fixture);
        struct link_record record = {.kind = (enum link_record_kind)kind};
        if (kind == LINK_ATTACH) {
            record.attach.user_id = slice_from_string("eve");
        } else if (kind == LINK_SUBMIT) {
            record.submit.to = slice_from_string("eve");
        }
        broker_puts(fixture, record);
        assert_false(receive(fixture));
        link_goes_down(fixture);
    }
    expect_log(fixture, "");
}

static void an_answer_to_what_was_never_asked_is_refused(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    submit(fixture, &alice, "2");
    for (uint64_t seq = 2; seq <= 3; seq++) {
        broker_puts_outcome(fixture, seq, OUTCOME_DELIVERED);
        assert_false(receive(fixture));
    }
    broker_puts_outcome(fixture, UINT64_MAX, OUTCOME_DELIVERED);
    assert_false(receive(fixture));
    broker_puts_outcome(fixture, 0, OUTCOME_DELIVERED); /* as good as answered long ago */
    assert_true(receive(fixture));
    expect_log(fixture, "");
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 2);
}

/* Whatever ends a batch early, what stood whole before it has been done. */
static void a_batch_cut_anywhere_is_refused_but_between_records(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    broker_puts_deliver(fixture, 1, alice.session->id, "first");
    size_t first_bytes = buffer_len(&fixture->batch);
    broker_puts_deliver(fixture, 2, alice.session->id, "second");
    struct slice batch = buffer_slice(&fixture->batch);
    for (size_t len = 0; len <= batch.len; len++) {
        bool is_whole = len == 0 || len == first_bytes || len == batch.len;
        assert_int_equal(receive_bytes(fixture, slice_of(batch.data, len)), is_whole);
        expect_log(fixture, len == batch.len     ? "deliver alice.0 first;deliver alice.0 second;"
                            : len >= first_bytes ? "deliver alice.0 first;"
                                                 : "");
    }
}

/* Every byte of a batch, set to every value: refused or taken, never a crash. */
static void a_bent_byte_never_hurts(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    broker_puts_attached(fixture, alice.session->id);
    broker_puts_deliver(fixture, 1, alice.session->id, "x");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    broker_puts_evict(fixture, alice.session->id);
    size_t len = buffer_len(&fixture->batch);
    size_t refused_count = 0;
    for (size_t i = 0; i < len; i++) {
        for (unsigned value = 0; value <= UINT8_MAX; value++) {
            uint8_t *byte = fixture->batch.data + fixture->batch.begin + i;
            uint8_t good = *byte;
            *byte = (uint8_t)value;
            refused_count += receive_bytes(fixture, buffer_slice(&fixture->batch)) ? 0 : 1;
            *byte = good;
            buffer_clear(&fixture->log);
        }
    }
    assert_true(refused_count > 0);
    buffer_clear(&fixture->batch);
    assert_non_null(alice.session);
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(delivered_is_said_when_the_last_byte_is_written),
        EXCHANGE_TEST(who_goes_leaves_an_outcome_for_each_payload),
        EXCHANGE_TEST(what_was_not_begun_is_not_unconfirmed),
        EXCHANGE_TEST(what_is_written_after_the_link_went_is_told_to_nobody),
        EXCHANGE_TEST(nobody_there_is_user_offline),
        EXCHANGE_TEST(a_full_queue_is_overloaded_and_costs_the_session),
        EXCHANGE_TEST(an_evicted_session_may_go_at_once),
        EXCHANGE_TEST(a_session_evicted_before_it_was_attached_submits_nothing),
        EXCHANGE_TEST(before_the_welcome_nothing_is_taken),
        EXCHANGE_TEST(a_second_welcome_and_another_version_are_refused),
        EXCHANGE_TEST(what_only_gateways_send_is_refused),
        EXCHANGE_TEST(an_answer_to_what_was_never_asked_is_refused),
        EXCHANGE_TEST(a_batch_cut_anywhere_is_refused_but_between_records),
        EXCHANGE_TEST(a_bent_byte_never_hurts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
