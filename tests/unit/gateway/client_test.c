/* A client with an open WebSocket: messages, silence, and every way to the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/client_fixture.h"

enum { SHORT_MS = 50 };

static void a_message_comes_back(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->echoes = true;
    struct far_end *far = open_far(fixture, 0);
    far_sends_frame(far, FIN_TEXT, slice_from_string("hello"));
    run_until(&fixture->base, first_far_has_frame);
    expect_frame(far, FIN_TEXT, slice_from_string("hello"));
    expect_log(fixture, "hello;");
    assert_int_equal(websocket_pool_lent(fixture->set.websockets), 0);
}

static void a_ping_is_answered_and_a_pong_is_not(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *far = open_far(fixture, 0);
    far_sends_frame(far, FIN_PONG, slice_from_string("unasked"));
    far_sends_frame(far, FIN_PING, slice_from_string("are you there"));
    run_until(&fixture->base, first_far_has_frame);
    expect_frame(far, FIN_PONG, slice_from_string("are you there"));
    assert_int_equal(buffer_len(&far->received), 0);
    expect_log(fixture, "");
}

static void silence_is_pinged_and_then_closed(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.ping_interval_ms = SHORT_MS;
    fixture->set.config.idle_timeout_ms = 3 * (uint64_t)SHORT_MS;
    struct far_end *far = open_far(fixture, 0);
    uint64_t began_ms = loop_now_ms(fixture->base.loop);
    run_until(&fixture->base, first_far_has_frame);
    expect_frame(far, FIN_PING, slice_of(NULL, 0));
    expect_close(fixture, CLOSE_IDLE);
    assert_true(loop_now_ms(fixture->base.loop) + LOOP_TIMER_TICK_MS >=
                began_ms + 3 * (uint64_t)SHORT_MS);
    expect_log(fixture, "end 4002;");
}

/* The idle timeout is longer than any test: the second ping may not wait for it. */
static void who_answers_is_pinged_again_after_the_interval(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.ping_interval_ms = SHORT_MS;
    struct far_end *far = open_far(fixture, 0);
    for (int i = 0; i < 3; i++) {
        run_until(&fixture->base, first_far_has_frame);
        expect_frame(far, FIN_PING, slice_of(NULL, 0));
        far_sends_frame(far, FIN_PONG, slice_of(NULL, 0));
    }
    expect_log(fixture, "");
}

static bool long_silence_is_over(struct loop_fixture *base)
{
    assert_non_null(client_fixture_of_base(base)->client);
    /* The first turn was due when the silence began. */
    return loop_now_ms(base->loop) >= base->first_turn.due_ms + 4 * (uint64_t)SHORT_MS;
}

static void who_is_not_read_is_not_idle(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.ping_interval_ms = SHORT_MS;
    fixture->set.config.idle_timeout_ms = 2 * (uint64_t)SHORT_MS;
    struct far_end *far = open_far(fixture, 0);
    connection_set_pause_reading(&fixture->set.connections, true);
    run_until(&fixture->base, long_silence_is_over);
    assert_int_equal(fixture->client->state, CLIENT_OPEN);
    assert_int_equal(buffer_len(&far->received), 0);
    connection_set_pause_reading(&fixture->set.connections, false);
    run_until(&fixture->base, app_has_ended_its_client);
    expect_log(fixture, "end 4002;");
}

static void the_peers_close_is_answered_and_nothing_behind_it_is_read(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *far = open_far(fixture, 0);
    far_sends_frame(far, FIN_TEXT, slice_from_string("last"));
    far_sends_close(far, 3007);
    far_sends_frame(far, FIN_TEXT, slice_from_string("too late"));
    expect_close(fixture, 3007);
    expect_log(fixture, "last;end 3007;");
}

static void a_close_without_a_code_is_answered_without_one(void **state)
{
    struct client_fixture *fixture = *state;
    far_sends_frame(open_far(fixture, 0), FIN_CLOSE, slice_of(NULL, 0));
    expect_close(fixture, 0);
    expect_log(fixture, "end 1005;");
}

static void our_close_is_the_last_frame(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *far = open_far(fixture, 0);
    assert_true(client_send(fixture->client, WEBSOCKET_TEXT, slice_from_string("before")));
    struct client *client = fixture->client;
    client_close(client, CLOSE_REPLACED, "replaced");
    client_close(client, CLOSE_NORMAL, "once more does nothing");
    far_sends_frame(far, FIN_TEXT, slice_from_string("not read any more"));
    run_until(&fixture->base, first_far_has_ended);
    expect_frame(far, FIN_TEXT, slice_from_string("before"));
    expect_close(fixture, CLOSE_REPLACED);
    expect_log(fixture, "end 4501;");
}

static bool nobody_is_left_and_far_stands(struct loop_fixture *base)
{
    assert_false(first_far_has_ended(base));
    return nobody_is_left(base);
}

static void a_peer_that_does_not_go_is_ended(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.close_timeout_ms = SHORT_MS;
    far_end_read(open_far(fixture, 0), false);
    client_close(fixture->client, CLOSE_NORMAL, "");
    run_until(&fixture->base, nobody_is_left_and_far_stands);
    expect_log(fixture, "end 1000;");
}

static bool a_frame_is_half_read(struct loop_fixture *base)
{
    return websocket_pool_lent(client_fixture_of_base(base)->set.websockets) == 1;
}

static void who_breaks_off_has_ended_without_a_code(void **state)
{
    static void (*const ways[])(struct far_end * far) = {far_end_close, far_end_reset};
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
        assert_int_equal(client_set_up(state), 0);
        struct client_fixture *fixture = *state;
        struct far_end *far = open_far(fixture, 0);
        far_end_send(far, slice_of("\x81\x85", 2));
        run_until(&fixture->base, a_frame_is_half_read);
        ways[i](far);
        run_until(&fixture->base, nobody_is_left);
        expect_log(fixture, "end 0;");
        assert_int_equal(websocket_pool_lent(fixture->set.websockets), 0);
        assert_int_equal(client_tear_down(state), 0);
    }
}

static void a_mistake_is_closed_with_its_code(void **state)
{
    static const uint8_t too_long[MESSAGE_MAX_BYTES + 1];
    const struct {
        struct slice payload;
        uint16_t code;
        uint8_t first_byte;
    } mistakes[] = {
        {slice_of("x", 1), CLOSE_PROTOCOL_ERROR, 0x83},
        {slice_of("\x03", 1), CLOSE_PROTOCOL_ERROR, FIN_CLOSE},
        {slice_of("x", 1), CLOSE_UNSUPPORTED_DATA, FIN_BINARY},
        {slice_of("\xff", 1), CLOSE_INVALID_PAYLOAD, FIN_TEXT},
        {slice_of(too_long, sizeof too_long), CLOSE_MESSAGE_TOO_BIG, FIN_TEXT},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
        assert_int_equal(client_set_up(state), 0);
        struct client_fixture *fixture = *state;
        far_sends_frame(open_far(fixture, 0), mistakes[i].first_byte, mistakes[i].payload);
        expect_close(fixture, mistakes[i].code);
        char expected[16];
        (void)snprintf(expected, sizeof expected, "end %u;", mistakes[i].code);
        expect_log(fixture, expected);
        assert_int_equal(client_tear_down(state), 0);
    }
}

static bool second_waits(struct loop_fixture *base)
{
    const struct client *client = client_fixture_of_base(base)->client;
    return client != NULL && client->state == CLIENT_WAITING;
}

static bool all_three_have_ended(struct loop_fixture *base)
{
    const struct far_end *fars = client_fixture_of_base(base)->fars;
    return fars[0].has_ended && fars[1].has_ended && fars[2].has_ended;
}

static void all_are_told_to_go(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *opened = open_far(fixture, 0);
    fixture->accepts_later = true;
    struct far_end *waiting = connect_far(fixture, 0);
    far_sends_text(waiting, handshake_text);
    run_until(&fixture->base, second_waits);
    struct far_end *silent = connect_far(fixture, 0);
    client_set_close_all(&fixture->set, CLOSE_GOING_AWAY, "the server is going down");
    expect_log(fixture, "handshake alice;end 0;end 1001;");
    run_until(&fixture->base, all_three_have_ended);
    assert_int_equal(take_close(opened), CLOSE_GOING_AWAY);
    expect_status(waiting, "503");
    expect_status(silent, "503");
    run_until(&fixture->base, nobody_is_left);
    expect_log(fixture, "");
}

static bool second_far_has_ended(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->fars[1].has_ended;
}

static bool third_far_has_ended(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->fars[2].has_ended;
}

static bool a_message_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == 1;
}

static void a_draining_set_refuses_those_that_wait_and_keeps_those_that_are_open(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *opened = open_far(fixture, 0);
    fixture->accepts_later = true;
    struct far_end *waiting = connect_far(fixture, 0);
    far_sends_text(waiting, handshake_text);
    run_until(&fixture->base, second_waits);
    struct far_end *silent = connect_far(fixture, 0);
    run_a_turn(&fixture->base);
    client_set_refuse(&fixture->set);
    expect_log(fixture, "handshake alice;end 0;");
    run_until(&fixture->base, second_far_has_ended);
    expect_status(waiting, "503");
    assert_false(silent->has_ended); /* it has yet to say what it wants */
    far_sends_text(silent, handshake_text);
    run_until(&fixture->base, third_far_has_ended);
    expect_status(silent, "503");
    far_sends_frame(opened, FIN_TEXT, slice_from_string("here"));
    run_until(&fixture->base, a_message_came);
    expect_log(fixture, "here;");
}

int main(void)
{
#define CLIENT_TEST(function) \
    cmocka_unit_test_setup_teardown(function, client_set_up, client_tear_down)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(a_message_comes_back),
        CLIENT_TEST(a_ping_is_answered_and_a_pong_is_not),
        CLIENT_TEST(silence_is_pinged_and_then_closed),
        CLIENT_TEST(who_answers_is_pinged_again_after_the_interval),
        CLIENT_TEST(who_is_not_read_is_not_idle),
        CLIENT_TEST(the_peers_close_is_answered_and_nothing_behind_it_is_read),
        CLIENT_TEST(a_close_without_a_code_is_answered_without_one),
        CLIENT_TEST(our_close_is_the_last_frame),
        CLIENT_TEST(a_peer_that_does_not_go_is_ended),
        cmocka_unit_test(who_breaks_off_has_ended_without_a_code),
        cmocka_unit_test(a_mistake_is_closed_with_its_code),
        CLIENT_TEST(all_are_told_to_go),
        CLIENT_TEST(a_draining_set_refuses_those_that_wait_and_keeps_those_that_are_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
