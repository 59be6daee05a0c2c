/* A client up to its open WebSocket, or to the response it gets instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/client_fixture.h"

enum { SHORT_MS = 50, BODY_BYTES = 4 * 1024 * 1024 };

/* The response, then the end of the stream; then the far end closes and the client is gone. */
static void expect_response(struct client_fixture *fixture, const char *status)
{
    run_until(&fixture->base, first_far_has_ended);
    expect_status(&fixture->fars[0], status);
    run_until(&fixture->base, nobody_is_left);
}

static void who_says_nothing_gets_408(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.head_timeout_ms = SHORT_MS;
    uint64_t began_ms = loop_now_ms(fixture->base.loop);
    (void)connect_far(fixture, 0);
    expect_response(fixture, "408");
    assert_true(loop_now_ms(fixture->base.loop) >= began_ms + SHORT_MS);
    expect_log(fixture, "");
}

static void who_stops_in_the_head_gets_408(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.head_timeout_ms = SHORT_MS;
    far_sends_text(connect_far(fixture, 0), "GET / HTTP/1.1\r\nHost: exa");
    expect_response(fixture, "408");
}

/* A head of `head_bytes`, less its end if it is not to be whole, and `rest_bytes` behind it. */
static void send_head(struct far_end *far, size_t head_bytes, bool is_whole, size_t rest_bytes)
{
    struct buffer bytes;
    buffer_init(&bytes, FAR_MAX_BYTES);
    buffer_put_string(&bytes, "GET /f HTTP/1.1\r\nHost: x\r\nX-Filler: ");
    while (buffer_len(&bytes) < head_bytes - (is_whole ? 4 : 0)) {
        buffer_put_string(&bytes, "a");
    }
    buffer_put_string(&bytes, is_whole ? "\r\n\r\n" : "");
    while (buffer_len(&bytes) < head_bytes + rest_bytes) {
        buffer_put_string(&bytes, "b");
    }
    far_end_send(far, buffer_slice(&bytes));
    buffer_fini(&bytes);
}

static void a_head_that_is_too_large_gets_431(void **state)
{
    struct client_fixture *fixture = *state;
    send_head(connect_far(fixture, 0), HEAD_MAX_BYTES + 1, false, 0);
    expect_response(fixture, "431");
}

static void a_whole_head_that_is_too_large_gets_431(void **state)
{
    struct client_fixture *fixture = *state;
    send_head(connect_far(fixture, 0), HEAD_MAX_BYTES + 1, true, 0);
    expect_response(fixture, "431");
    expect_log(fixture, "");
}

static void a_head_at_the_bound_is_taken_with_more_behind_it(void **state)
{
    struct client_fixture *fixture = *state;
    send_head(connect_far(fixture, 0), HEAD_MAX_BYTES, true, 100);
    expect_response(fixture, "200");
    expect_log(fixture, "fetch /f;");
}

static void what_is_no_request_gets_400_at_once(void **state)
{
    struct client_fixture *fixture = *state;
    far_sends_text(connect_far(fixture, 0), "\x16\x03\x01 hello");
    expect_response(fixture, "400");
}

static void a_handshake_byte_by_byte_is_taken(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->greeting = "hi";
    struct far_end *far = connect_far(fixture, 0);
    far_end_drip(far, slice_from_string(handshake_text), 1);
    run_until(&fixture->base, first_far_has_head);
    expect_status(far, "101");
    struct slice head = slice_of(buffer_slice(&far->received).data, response_head_bytes(far));
    static const char accept[] = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    assert_true(head.data != NULL &&
                memmem(head.data, head.len, accept, sizeof accept - 1) != NULL);
    buffer_consume(&far->received, head.len);
    run_until(&fixture->base, first_far_has_frame);
    expect_frame(far, FIN_TEXT, slice_from_string("hi"));
    expect_log(fixture, "handshake alice;");
}

/* The handshake with two frames right behind it, and the beginning of a third. */
static void put_handshake_and_frames(struct buffer *bytes)
{
    buffer_init(bytes, FAR_MAX_BYTES);
    buffer_put_string(bytes, handshake_text);
    put_client_frame(bytes, FIN_TEXT, slice_from_string("one"));
    put_client_frame(bytes, FIN_TEXT, slice_from_string("two"));
    buffer_put_u8(bytes, FIN_TEXT);
}

/* What the third frame lacks: an empty message. */
static const uint8_t rest_of_frame[] = {FRAME_MASK, 1, 2, 3, 4};

static bool two_messages_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == 2;
}

static bool three_messages_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == 3;
}

static void frames_behind_the_handshake_are_read_after_the_greeting(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->greeting = "hi";
    fixture->echoes = true;
    struct far_end *far = connect_far(fixture, 0);
    struct buffer bytes;
    put_handshake_and_frames(&bytes);
    far_end_send(far, buffer_slice(&bytes));
    buffer_fini(&bytes);
    run_until(&fixture->base, two_messages_came);
    far_end_send(far, slice_of(rest_of_frame, sizeof rest_of_frame));
    run_until(&fixture->base, three_messages_came);
    expect_log(fixture, "handshake alice;one;two;;");
    far_sends_close(far, CLOSE_NORMAL);
    run_until(&fixture->base, first_far_has_ended);
    buffer_consume(&far->received, response_head_bytes(far));
    static const char *const expected[] = {"hi", "one", "two", ""};
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        expect_frame(far, FIN_TEXT, slice_from_string(expected[i]));
    }
    assert_int_equal(take_close(far), CLOSE_NORMAL);
}

static bool client_waits(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->client != NULL;
}

static void nothing_is_read_or_said_until_the_application_answers(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->accepts_later = true;
    struct far_end *far = connect_far(fixture, 0);
    struct buffer bytes;
    put_handshake_and_frames(&bytes);
    far_end_send(far, buffer_slice(&bytes));
    buffer_fini(&bytes);
    run_until(&fixture->base, client_waits);
    far_end_send(far, slice_of(rest_of_frame, sizeof rest_of_frame));
    run_a_turn(&fixture->base);
    run_a_turn(&fixture->base);
    assert_int_equal(fixture->client->state, CLIENT_WAITING);
    assert_int_equal(buffer_len(&far->received), 0);
    expect_log(fixture, "handshake alice;");
    app_accept(fixture, fixture->client);
    run_until(&fixture->base, three_messages_came);
    expect_log(fixture, "one;two;;");
    run_until(&fixture->base, first_far_has_head);
    expect_status(far, "101");
}

static void an_accepted_client_may_be_closed_before_its_101_has_left(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->accepts_later = true;
    struct far_end *far = connect_far(fixture, 0);
    far_sends_text(far, handshake_text);
    run_until(&fixture->base, client_waits);
    struct client *client = fixture->client;
    app_accept(fixture, client);
    client_close(client, CLOSE_REPLACED, "replaced");
    expect_log(fixture, "handshake alice;end 4501;");
    run_until(&fixture->base, first_far_has_ended);
    expect_status(far, "101");
    buffer_consume(&far->received, response_head_bytes(far));
    assert_int_equal(take_close(far), CLOSE_REPLACED);
    run_until(&fixture->base, nobody_is_left);
    expect_log(fixture, "");
}

/* As if the socket took nothing: the close frame may not cut into the 101. */
static void a_101_that_waits_is_not_dropped_by_a_close(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->accepts_later = true;
    fixture->greeting = "this goes";
    struct far_end *far = connect_far(fixture, 0);
    far_sends_text(far, handshake_text);
    run_until(&fixture->base, client_waits);
    struct client *client = fixture->client;
    app_accept(fixture, client);
    client->conn.write_is_blocked = true;
    client_close(client, CLOSE_GOING_AWAY, "");
    client->conn.write_is_blocked = false;
    run_until(&fixture->base, first_far_has_ended);
    expect_status(far, "101");
    buffer_consume(&far->received, response_head_bytes(far));
    assert_int_equal(take_close(far), CLOSE_GOING_AWAY);
}

static void the_application_may_refuse(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->accepts_later = true;
    far_sends_text(connect_far(fixture, 0), handshake_text);
    run_until(&fixture->base, client_waits);
    static const struct http_refusal refusal = {503, "no"};
    client_refuse(fixture->client, &refusal);
    expect_response(fixture, "503");
    expect_log(fixture, "handshake alice;"); /* no end: the application knows */
}

static void an_application_that_does_not_answer_costs_503(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->accepts_later = true;
    fixture->set.config.head_timeout_ms = SHORT_MS;
    far_sends_text(connect_far(fixture, 0), handshake_text);
    expect_response(fixture, "503");
    expect_log(fixture, "handshake alice;end 0;");
}

static void who_leaves_while_waiting_has_ended(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->accepts_later = true;
    struct far_end *far = connect_far(fixture, 0);
    far_sends_text(far, handshake_text);
    run_until(&fixture->base, client_waits);
    far_end_reset(far);
    run_until(&fixture->base, nobody_is_left);
    expect_log(fixture, "handshake alice;end 0;");
}

static void who_leaves_in_the_head_is_forgotten(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *far = connect_far(fixture, 0);
    far_sends_text(far, "GET / HT");
    run_a_turn(&fixture->base);
    far_end_close(far);
    run_until(&fixture->base, nobody_is_left);
    expect_log(fixture, "");
}

static void a_bad_handshake_is_refused_with_its_status(void **state)
{
    struct client_fixture *fixture = *state;
    far_sends_text(connect_far(fixture, 0), "GET / HTTP/1.1\r\n" HANDSHAKE_HEADERS);
    expect_response(fixture, "400"); /* no userId */
    expect_log(fixture, "");
}

static void a_half_closed_client_gets_its_whole_body(void **state)
{
    struct client_fixture *fixture = *state;
    uint8_t *body = malloc(BODY_BYTES);
    assert_non_null(body);
    for (size_t i = 0; i < BODY_BYTES; i++) {
        body[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    }
    fixture->body = slice_of(body, BODY_BYTES);
    struct far_end *far = connect_far(fixture, 4096);
    far_sends_text(far, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(shutdown(far->watch.fd, SHUT_WR), 0);
    expect_response(fixture, "200");
    struct slice received = buffer_slice(&far->received);
    assert_true(
        slice_equal(slice_drop(received, response_head_bytes(far)), slice_of(body, BODY_BYTES)));
    free(body);
}

static bool nobody_is_left_and_far_stands(struct loop_fixture *base)
{
    assert_false(first_far_has_ended(base));
    return nobody_is_left(base);
}

static void who_never_reads_his_response_is_ended(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.close_timeout_ms = SHORT_MS;
    uint8_t *body = calloc(1, BODY_BYTES);
    assert_non_null(body);
    fixture->body = slice_of(body, BODY_BYTES);
    struct far_end *far = connect_far(fixture, 4096);
    far_end_read(far, false);
    far_sends_text(far, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    run_until(&fixture->base, nobody_is_left_and_far_stands);
    expect_log(fixture, "fetch /big;");
    free(body);
}

static bool second_far_has_ended(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->fars[1].has_ended;
}

static void beyond_connections_max_a_handshake_gets_503_and_a_fetch_its_file(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.connections_max = 1;
    (void)open_far(fixture, 0);
    struct far_end *far = connect_far(fixture, 0);
    far_sends_text(far, handshake_text);
    run_until(&fixture->base, second_far_has_ended);
    expect_status(far, "503");
    assert_int_equal(fixture->client->state, CLIENT_OPEN);
    expect_log(fixture, "");
}

static void a_draining_set_refuses_handshakes(void **state)
{
    struct client_fixture *fixture = *state;
    client_set_refuse(&fixture->set);
    far_sends_text(connect_far(fixture, 0), handshake_text);
    expect_response(fixture, "503");
    expect_log(fixture, "");
}

int main(void)
{
#define OPENING_TEST(function) \
    cmocka_unit_test_setup_teardown(function, client_set_up, client_tear_down)
    const struct CMUnitTest tests[] = {
        OPENING_TEST(who_says_nothing_gets_408),
        OPENING_TEST(who_stops_in_the_head_gets_408),
        OPENING_TEST(a_head_that_is_too_large_gets_431),
        OPENING_TEST(a_whole_head_that_is_too_large_gets_431),
        OPENING_TEST(a_head_at_the_bound_is_taken_with_more_behind_it),
        OPENING_TEST(what_is_no_request_gets_400_at_once),
        OPENING_TEST(a_handshake_byte_by_byte_is_taken),
        OPENING_TEST(frames_behind_the_handshake_are_read_after_the_greeting),
        OPENING_TEST(nothing_is_read_or_said_until_the_application_answers),
        OPENING_TEST(an_accepted_client_may_be_closed_before_its_101_has_left),
        OPENING_TEST(a_101_that_waits_is_not_dropped_by_a_close),
        OPENING_TEST(the_application_may_refuse),
        OPENING_TEST(an_application_that_does_not_answer_costs_503),
        OPENING_TEST(who_leaves_while_waiting_has_ended),
        OPENING_TEST(who_leaves_in_the_head_is_forgotten),
        OPENING_TEST(a_bad_handshake_is_refused_with_its_status),
        OPENING_TEST(a_half_closed_client_gets_its_whole_body),
        OPENING_TEST(who_never_reads_his_response_is_ended),
        OPENING_TEST(beyond_connections_max_a_handshake_gets_503_and_a_fetch_its_file),
        OPENING_TEST(a_draining_set_refuses_handshakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
