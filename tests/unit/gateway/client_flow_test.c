/* How much goes to and comes from an open client: the bound of its queue, the positions in its
 * stream, its rate, and the end of its reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/client_fixture.h"

enum { SMALL_SOCKET_BYTES = 4096, FRAMES_MAX = 1000, SHORT_MS = 50 };

/* A frame that begins with its number. */
static struct slice numbered(uint8_t *bytes, size_t len, uint32_t number)
{
    memset(bytes, 'x', len);
    memcpy(bytes, &number, sizeof number);
    return slice_of(bytes, len);
}

static void expect_numbered_frames(struct far_end *far, size_t len, uint32_t count)
{
    uint8_t bytes[MESSAGE_MAX_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        expect_frame(far, FIN_BINARY, numbered(bytes, len, i));
    }
}

static void a_reader_that_stops_is_closed_behind_the_frame_that_was_begun(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *far = open_far(fixture, SMALL_SOCKET_BYTES);
    far_end_read(far, false);
    enum { LEN = 10007 };
    uint8_t bytes[LEN];
    uint64_t ends[FRAMES_MAX] = {0}; /* the position behind each frame */
    uint32_t count = 0;
    while (client_send(fixture->client, WEBSOCKET_BINARY, numbered(bytes, LEN, count))) {
        ends[count++] = client_queued_bytes(fixture->client);
        assert_true(count < FRAMES_MAX);
        run_a_turn(&fixture->base);
    }
    expect_log(fixture, "end 4001;");
    assert_true(fixture->end_written_bytes < fixture->end_begun_bytes);
    uint32_t begun_count = 0;
    while (begun_count < count && ends[begun_count] <= fixture->end_begun_bytes) {
        begun_count++;
    }
    assert_true(begun_count > 0 && begun_count < count);
    assert_int_equal(ends[begun_count - 1], fixture->end_begun_bytes);
    far_end_read(far, true);
    run_until(&fixture->base, first_far_has_ended);
    expect_numbered_frames(far, LEN, begun_count);
    expect_close(fixture, CLOSE_TOO_SLOW);
}

static bool far_has_80_kib(struct loop_fixture *base)
{
    return buffer_len(&client_fixture_of_base(base)->fars[0].received) >= 80 * (size_t)1024;
}

static void a_turn_that_brings_more_than_the_queue_is_no_slow_reader(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.connections.queue_max_bytes = 8 * (size_t)1024;
    struct far_end *far = open_far(fixture, 0);
    enum { LEN = 1020, COUNT = 80 };
    uint8_t bytes[LEN];
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(client_send(fixture->client, WEBSOCKET_BINARY, numbered(bytes, LEN, i)));
    }
    run_until(&fixture->base, far_has_80_kib);
    expect_numbered_frames(far, LEN, COUNT);
    expect_log(fixture, "");
}

static void a_message_that_never_fits_closes(void **state)
{
    struct client_fixture *fixture = *state;
    (void)open_far(fixture, 0);
    static const uint8_t bytes[QUEUE_MAX_BYTES];
    assert_false(client_send(fixture->client, WEBSOCKET_BINARY, slice_of(bytes, sizeof bytes)));
    expect_log(fixture, "end 4001;");
    expect_close(fixture, CLOSE_TOO_SLOW);
}

/* Frames of many sizes; written and begun are looked at after each write. */
struct positions {
    uint64_t ends[FRAMES_MAX];
    size_t count;
    size_t half_written_count;
};

static struct positions positions;

static void check_positions(struct client_fixture *fixture, struct client *client)
{
    (void)fixture;
    uint64_t written = client_written_bytes(client);
    size_t i = 0;
    while (i < positions.count && positions.ends[i] < written) {
        i++;
    }
    assert_true(i < positions.count);
    assert_int_equal(client_begun_bytes(client), positions.ends[i]);
    positions.half_written_count += written < positions.ends[i] ? 1 : 0;
}

static bool far_has_all_positions(struct loop_fixture *base)
{
    const struct client_fixture *fixture = client_fixture_of_base(base);
    return client_written_bytes(fixture->client) == positions.ends[positions.count - 1];
}

static void begun_is_the_end_of_the_frame_that_is_half_written(void **state)
{
    struct client_fixture *fixture = *state;
    (void)open_far(fixture, SMALL_SOCKET_BYTES);
    positions = (struct positions){0};
    fixture->on_written = check_positions;
    static const uint8_t bytes[MESSAGE_MAX_BYTES];
    static const size_t sizes[] = {0, 1, 125, 126, 3000, 1, 9001, 16000, 2, 4444, 16000};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        assert_true(client_send(fixture->client, WEBSOCKET_TEXT, slice_of(bytes, sizes[i])));
        positions.ends[positions.count++] = client_queued_bytes(fixture->client);
    }
    run_until(&fixture->base, far_has_all_positions);
    assert_true(positions.half_written_count > 0);
    assert_int_equal(client_begun_bytes(fixture->client), client_queued_bytes(fixture->client));
}

enum { RATE_MESSAGES = 20000, BURST_MESSAGES = 100 };

static bool all_messages_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == RATE_MESSAGES;
}

static bool one_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == 1;
}

static bool burst_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == BURST_MESSAGES;
}

static bool one_more_came(struct loop_fixture *base)
{
    return client_fixture_of_base(base)->message_count == BURST_MESSAGES + 1;
}

static void who_is_ahead_of_the_rate_is_read_later(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.rate_max_per_s = 1000;
    fixture->set.config.rate_burst = 10;
    struct far_end *far = open_far(fixture, 0);
    struct buffer frames;
    buffer_init(&frames, FAR_MAX_BYTES);
    for (int i = 0; i < BURST_MESSAGES; i++) {
        put_client_frame(&frames, FIN_TEXT, slice_from_string("x"));
    }
    far_end_send(far, buffer_slice(&frames));
    buffer_fini(&frames);
    run_until(&fixture->base, burst_came);
    assert_true(fixture->client->is_throttled);
    uint64_t burst_ms = loop_now_ms(fixture->base.loop);
    far_sends_frame(far, FIN_TEXT, slice_from_string("x"));
    run_until(&fixture->base, one_more_came);
    /* 100 messages less the burst of 10 take 90 ms. */
    assert_true(loop_now_ms(fixture->base.loop) >= burst_ms + 85);
}

static void the_rate_loses_nothing_and_keeps_the_order(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.rate_max_per_s = 100000;
    fixture->set.config.rate_burst = BURST_MESSAGES;
    struct far_end *far = open_far(fixture, 0);
    struct buffer frames;
    struct buffer expected;
    buffer_init(&frames, FAR_MAX_BYTES);
    buffer_init(&expected, FAR_MAX_BYTES);
    for (int i = 0; i < RATE_MESSAGES; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        put_client_frame(&frames, FIN_TEXT, slice_from_string(text));
        buffer_put_format(&expected, "%s;", text);
    }
    far_end_drip(far, buffer_slice(&frames), FAR_READ_BYTES);
    run_until(&fixture->base, all_messages_came);
    assert_true(slice_equal(buffer_slice(&fixture->log), buffer_slice(&expected)));
    buffer_fini(&frames);
    buffer_fini(&expected);
}

static struct loop_timer pause_timer;

static void on_pause_over(struct loop_timer *timer)
{
    (void)timer;
}

static bool pause_is_over(struct loop_fixture *base)
{
    (void)base;
    return pause_timer.next == NULL;
}

static void let_pass(struct client_fixture *fixture, uint64_t ms)
{
    pause_timer = (struct loop_timer){.on_due = on_pause_over};
    loop_timer_set(fixture->base.loop, &pause_timer, loop_now_ms(fixture->base.loop) + ms);
    run_until(&fixture->base, pause_is_over);
}

static void who_is_stopped_is_read_no_more_but_still_sent_to(void **state)
{
    struct client_fixture *fixture = *state;
    struct far_end *far = open_far(fixture, 0);
    far_sends_frame(far, FIN_TEXT, slice_from_string("before"));
    run_until(&fixture->base, one_came);
    client_stop_reading(fixture->client);
    far_sends_frame(far, FIN_TEXT, slice_from_string("behind"));
    let_pass(fixture, SHORT_MS);
    connection_set_pause_reading(&fixture->set.connections, true);
    connection_set_pause_reading(&fixture->set.connections, false); /* which resumes others only */
    let_pass(fixture, SHORT_MS);
    expect_log(fixture, "before;");
    assert_true(client_send(fixture->client, WEBSOCKET_TEXT, slice_from_string("still here")));
    run_until(&fixture->base, first_far_has_frame);
    expect_frame(far, FIN_TEXT, slice_from_string("still here"));
    client_close(fixture->client, CLOSE_GOING_AWAY, "");
    expect_close(fixture, CLOSE_GOING_AWAY); /* what it had sent is read and dropped */
    expect_log(fixture, "end 1001;");
}

static void the_rates_timer_does_not_resume_who_is_stopped(void **state)
{
    struct client_fixture *fixture = *state;
    fixture->set.config.rate_max_per_s = 1000;
    fixture->set.config.rate_burst = 10;
    struct far_end *far = open_far(fixture, 0);
    struct buffer frames;
    buffer_init(&frames, FAR_MAX_BYTES);
    for (int i = 0; i < BURST_MESSAGES; i++) {
        put_client_frame(&frames, FIN_TEXT, slice_from_string("x"));
    }
    far_end_send(far, buffer_slice(&frames));
    buffer_fini(&frames);
    run_until(&fixture->base, burst_came);
    assert_true(fixture->client->is_throttled);
    client_stop_reading(fixture->client);
    far_sends_frame(far, FIN_TEXT, slice_from_string("x"));
    let_pass(fixture, 4 * (uint64_t)SHORT_MS); /* the 100 messages are paid for after 90 ms */
    assert_false(fixture->client->is_throttled);
    assert_int_equal(fixture->message_count, BURST_MESSAGES);
}

/* Whether or not it had a ping to answer, which it may have done: we have not looked. */
static void the_idle_timer_does_not_close_who_is_stopped(void **state)
{
    for (int was_pinged = 0; was_pinged < 2; was_pinged++) {
        assert_int_equal(client_set_up(state), 0);
        struct client_fixture *fixture = *state;
        fixture->set.config.ping_interval_ms = SHORT_MS;
        fixture->set.config.idle_timeout_ms = 5 * (uint64_t)SHORT_MS;
        (void)open_far(fixture, 0);
        if (was_pinged) {
            run_until(&fixture->base, first_far_has_frame);
        }
        client_stop_reading(fixture->client);
        let_pass(fixture, 12 * (uint64_t)SHORT_MS);
        assert_non_null(fixture->client);
        assert_int_equal(fixture->client->state, CLIENT_OPEN);
        expect_log(fixture, "");
        assert_int_equal(client_tear_down(state), 0);
    }
}

int main(void)
{
#define CLIENT_TEST(function) \
    cmocka_unit_test_setup_teardown(function, client_set_up, client_tear_down)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(a_reader_that_stops_is_closed_behind_the_frame_that_was_begun),
        CLIENT_TEST(a_turn_that_brings_more_than_the_queue_is_no_slow_reader),
        CLIENT_TEST(a_message_that_never_fits_closes),
        CLIENT_TEST(begun_is_the_end_of_the_frame_that_is_half_written),
        CLIENT_TEST(who_is_ahead_of_the_rate_is_read_later),
        CLIENT_TEST(the_rate_loses_nothing_and_keeps_the_order),
        CLIENT_TEST(who_is_stopped_is_read_no_more_but_still_sent_to),
        CLIENT_TEST(the_rates_timer_does_not_resume_who_is_stopped),
        cmocka_unit_test(the_idle_timer_does_not_close_who_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
