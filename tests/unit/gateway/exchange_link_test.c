/* The exchange's connection: from the greeting to ready, and batches that no broker of ours would
 * send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

static void messages_flow_once_the_broker_is_ready(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    link_goes_down(fixture);
    assert_false(exchange_is_ready(fixture->exchange));
    submit(fixture, &alice, "1");
    link_greets(fixture);
    expect_out(fixture, "attach 0 alice/phone again;synced;");
    broker_puts_attached(fixture, alice.session->id);
    assert_true(receive(fixture));
    submit(fixture, &alice, "2");
    expect_out(fixture, "");
    assert_false(exchange_is_ready(fixture->exchange));
    link_gets_ready(fixture);
    expect_out(fixture, "submit 1 0;submit 2 0;");
}

static void synced_comes_behind_the_last_attach_however_many_turns_it_takes(void **state)
{
    (void)state;
    enum { MAX_BYTES = 1024, COUNT = 40 };
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    struct fake_client clients[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        attach(fixture, &clients[i], "somebody");
    }
    link_greets(fixture);
    uint64_t place = 0;
    bool is_synced = false;
    for (size_t turns = 0; turns < COUNT && !is_synced; turns++) {
        exchange_pump(fixture->exchange);
        struct slice batch = buffer_slice(&fixture->out);
        struct link_record record;
        while (link_record_decode(&batch, &record) == PARSE_DONE) {
            assert_false(is_synced);
            is_synced = record.kind == LINK_SYNCED;
            assert_true(is_synced || record.attach.session_id == clients[place++].session->id);
        }
        assert_int_equal(is_synced, place == COUNT);
        buffer_clear(&fixture->out);
    }
    assert_true(is_synced);
    exchange_fixture_free(fixture);
}

static void synced_is_said_once_and_who_comes_later_is_announced_behind_it(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_greets(fixture);
    expect_out(fixture, "synced;");
    struct fake_client alice;
    struct fake_client bob;
    attach(fixture, &alice, "alice");
    expect_out(fixture, "attach 0 alice/phone;");
    link_gets_ready(fixture);
    attach(fixture, &bob, "bob");
    expect_out(fixture, "attach 1 bob/phone;");
}

static void who_goes_before_it_was_announced_does_not_hold_up_synced(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    link_greets(fixture);
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "synced;");
}

static void ready_without_synced_ends_the_link(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_greets(fixture);
    broker_puts_ready(fixture);
    assert_false(receive(fixture));
    assert_false(exchange_is_ready(fixture->exchange));
}

static void ready_twice_ends_the_link(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    broker_puts_ready(fixture);
    assert_false(receive(fixture));
}

static void the_next_link_needs_its_own_synced_and_ready(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    link_goes_down(fixture);
    link_greets(fixture);
    assert_false(exchange_is_ready(fixture->exchange));
    broker_puts_ready(fixture);
    assert_false(receive(fixture));
    link_goes_down(fixture);
    link_greets(fixture);
    expect_out(fixture, "synced;");
    link_gets_ready(fixture);
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
        if (kind == LINK_LEG) {
            record.leg.call_id = slice_from_string("c1");
        }
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
    for (uint16_t version = LINK_VERSION - 1; version <= LINK_VERSION + 1; version += 2) {
        exchange_link_up(fixture->exchange, &fixture->out);
        struct link_greeting greeting = {.version = version, .instance_id = 5};
        broker_puts(fixture, (struct link_record){.kind = LINK_WELCOME, .greeting = greeting});
        assert_false(receive(fixture));
        link_goes_down(fixture);
    }
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

/* It was asked on the connection before; a broker that answers now has not been asked. */
static void an_answer_to_what_is_yet_to_be_asked_again_is_refused(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    link_goes_down(fixture);
    link_comes_up(fixture);
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_false(receive(fixture));
    expect_log(fixture, "");
}

/* Whatever ends a batch early, what stood whole before it has been done. */
static void a_batch_cut_anywhere_is_refused_but_between_records(void **state)
{
    size_t batch_bytes = SIZE_MAX;
    for (size_t len = 0; len <= batch_bytes; len++) {
        assert_int_equal(exchange_set_up(state), 0);
        struct exchange_fixture *fixture = *state;
        link_comes_up(fixture);
        struct fake_client alice;
        attach_fully(fixture, &alice, "alice");
        broker_puts_deliver(fixture, 1, alice.session->id, "first");
        size_t first_bytes = buffer_len(&fixture->batch);
        broker_puts_deliver(fixture, 2, alice.session->id, "second");
        batch_bytes = buffer_len(&fixture->batch);
        bool is_whole = len == 0 || len == first_bytes || len == batch_bytes;
        struct slice cut = slice_of(buffer_slice(&fixture->batch).data, len);
        assert_int_equal(receive_bytes(fixture, cut), is_whole);
        expect_log(fixture, len == batch_bytes   ? "deliver alice.0 first;deliver alice.0 second;"
                            : len >= first_bytes ? "deliver alice.0 first;"
                                                 : "");
        assert_int_equal(exchange_tear_down(state), 0);
    }
}

/* One of each kind that a broker sends but welcome and ready, which are there but once. */
static void put_good_batch(struct exchange_fixture *fixture, const struct fake_client *alice)
{
    broker_puts_attached(fixture, alice->session->id);
    broker_puts_deliver(fixture, 1, alice->session->id, "x");
    broker_puts_repeat(fixture, 1, alice->session->id, "x");
    struct link_record expiring = make_deliver(fixture, 2, alice->session->id, "{}");
    expiring.deliver.expires_ms = 1;
    broker_puts(fixture, expiring);
    broker_puts_leg(fixture, alice->session->id, "c1", "x");
    broker_puts_leg(fixture, alice->session->id, "c1", "");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    broker_puts_retired(fixture, UINT64_MAX);
    broker_puts_evict(fixture, alice->session->id);
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
    put_good_batch(fixture, &alice);
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
    assert_true(receive(fixture));
    assert_non_null(alice.session);
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    assert_null(alice.session->deliveries.first);
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(messages_flow_once_the_broker_is_ready),
        cmocka_unit_test(synced_comes_behind_the_last_attach_however_many_turns_it_takes),
        EXCHANGE_TEST(synced_is_said_once_and_who_comes_later_is_announced_behind_it),
        EXCHANGE_TEST(who_goes_before_it_was_announced_does_not_hold_up_synced),
        EXCHANGE_TEST(ready_without_synced_ends_the_link),
        EXCHANGE_TEST(ready_twice_ends_the_link),
        EXCHANGE_TEST(the_next_link_needs_its_own_synced_and_ready),
        EXCHANGE_TEST(before_the_welcome_nothing_is_taken),
        EXCHANGE_TEST(a_second_welcome_and_another_version_are_refused),
        EXCHANGE_TEST(what_only_gateways_send_is_refused),
        EXCHANGE_TEST(an_answer_to_what_was_never_asked_is_refused),
        EXCHANGE_TEST(an_answer_to_what_is_yet_to_be_asked_again_is_refused),
        cmocka_unit_test(a_batch_cut_anywhere_is_refused_but_between_records),
        EXCHANGE_TEST(a_bent_byte_never_hurts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
