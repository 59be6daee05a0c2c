/* Messages into and out of a socket pair, of which the other half is in the test's hands: byte by
 * byte, with a reader that is slow, with heads that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link_codec.h"
#include "common/link_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OUT_MAX_BYTES = 8 * 1024 * 1024,
    BATCH_MAX_BYTES = 256 * 1024,
    MESSAGE_MAX_BYTES = LINK_PAYLOAD_MAX_BYTES + LINK_RECORD_OVERHEAD_BYTES,
    MEBIBYTE = 1024 * 1024,
};

struct fixture {
    struct link_stream stream;
    int peer_fd;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    link_stream_init(&fixture->stream, OUT_MAX_BYTES);
    assert_true(link_stream_open(&fixture->stream, fds[0]));
    fixture->peer_fd = fds[1];
    uint8_t opening[SP_OPENING_BYTES + 1];
    assert_int_equal(read(fixture->peer_fd, opening, sizeof opening), SP_OPENING_BYTES);
    assert_memory_equal(opening, sp_opening, SP_OPENING_BYTES);
    *state = fixture;
    return 0;
}

static void close_peer(struct fixture *fixture)
{
    assert_int_equal(close(fixture->peer_fd), 0);
    fixture->peer_fd = -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)close(fixture->stream.fd);
    if (fixture->peer_fd >= 0) {
        close_peer(fixture);
    }
    link_stream_fini(&fixture->stream);
    free(fixture);
    return 0;
}

static void peer_writes(struct fixture *fixture, const void *bytes, size_t len)
{
    assert_int_equal(write(fixture->peer_fd, bytes, len), len);
}

static void peer_writes_message(struct fixture *fixture, const char *text)
{
    uint8_t head[SP_HEAD_BYTES];
    sp_head_put(head, strlen(text));
    peer_writes(fixture, head, sizeof head);
    if (*text != '\0') {
        peer_writes(fixture, text, strlen(text));
    }
}

static void expect_message(struct fixture *fixture, const char *text)
{
    struct slice message;
    assert_int_equal(link_stream_first(&fixture->stream, &message), PARSE_DONE);
    assert_true(slice_equal_string(message, text));
    link_stream_drop(&fixture->stream, message);
}

static void expect_none(struct fixture *fixture)
{
    struct slice message;
    assert_int_equal(link_stream_first(&fixture->stream, &message), PARSE_NEED_MORE);
}

static void an_opening_and_messages_may_come_in_one_piece(void **state)
{
    struct fixture *fixture = *state;
    peer_writes(fixture, sp_opening, SP_OPENING_BYTES);
    peer_writes_message(fixture, "one");
    peer_writes_message(fixture, "");
    peer_writes_message(fixture, "");
    peer_writes_message(fixture, "two");
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
    assert_int_equal(link_stream_take_opening(&fixture->stream), PARSE_DONE);
    expect_message(fixture, "one");
    expect_message(fixture, "two"); /* the empty ones are passed over */
    expect_none(fixture);
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
    expect_none(fixture);
}

static void bytes_may_come_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[] = "\0SP\0\0\x10\0\0\1\0\0\0\0\0\0\0\3abc\1\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1d";
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        peer_writes(fixture, &bytes[i], 1);
        assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
        if (i < SP_OPENING_BYTES) {
            assert_int_equal(link_stream_take_opening(&fixture->stream),
                             i + 1 == SP_OPENING_BYTES ? PARSE_DONE : PARSE_NEED_MORE);
        } else if (i == SP_OPENING_BYTES + SP_HEAD_BYTES + 2) {
            expect_message(fixture, "abc");
        } else if (i == sizeof bytes - 2) {
            expect_message(fixture, "d");
        } else {
            expect_none(fixture);
        }
    }
}

static void wrong_heads_are_bad(void **state)
{
    const char *rows[] = {"\0", "\2", "GET / HTTP/1.1\r\n\r\n", "\377", "\1\177\377\377\377"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *fixture = *state;
        peer_writes(fixture, rows[i], i == 0 ? 1 : strlen(rows[i]));
        assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
        struct slice message;
        assert_int_equal(link_stream_first(&fixture->stream, &message), PARSE_BAD);
        tear_down(state);
        set_up(state);
    }
}

static void memory_grows_with_what_has_arrived(void **state)
{
    struct fixture *fixture = *state;
    uint8_t head[SP_HEAD_BYTES];
    sp_head_put(head, MESSAGE_MAX_BYTES + 1);
    peer_writes(fixture, head, sizeof head);
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
    struct slice message;
    assert_int_equal(link_stream_first(&fixture->stream, &message), PARSE_BAD);
    buffer_clear(&fixture->stream.in);

    sp_head_put(head, MESSAGE_MAX_BYTES);
    peer_writes(fixture, head, sizeof head);
    static uint8_t piece[10000];
    for (size_t sent = 0; sent < MESSAGE_MAX_BYTES; sent += sizeof piece) {
        assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
        expect_none(fixture);
        assert_true(fixture->stream.in.cap <= 2 * (sent + BATCH_MAX_BYTES));
        size_t left = MESSAGE_MAX_BYTES - sent;
        peer_writes(fixture, piece, left < sizeof piece ? left : sizeof piece);
    }
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
    assert_int_equal(link_stream_first(&fixture->stream, &message), PARSE_DONE);
    assert_int_equal(message.len, MESSAGE_MAX_BYTES);
    link_stream_trim(&fixture->stream); /* it is in use: it stays */
    assert_int_equal(message.data[message.len - 1], 0);
    link_stream_drop(&fixture->stream, message);
    link_stream_trim(&fixture->stream);
    assert_int_equal(fixture->stream.in.cap, 0);
}

static void what_was_sent_before_the_end_is_read_before_the_end(void **state)
{
    struct fixture *fixture = *state;
    peer_writes_message(fixture, "last words");
    /* Bytes that the peer leaves unread make its end a reset. */
    struct link_record record = {.kind = LINK_DETACH};
    link_record_put(&fixture->stream.out, &record);
    assert_int_equal(link_stream_write(&fixture->stream), STREAM_ALL);
    close_peer(fixture);
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_ALL);
    expect_message(fixture, "last words");
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_FAILED);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(link_stream_read(&fixture->stream), STREAM_ENDED);
    link_record_put(&fixture->stream.out, &record);
    assert_int_equal(link_stream_write(&fixture->stream), STREAM_FAILED); /* and no SIGPIPE */
}

static void put_record(struct fixture *fixture, uint64_t seq, size_t payload_bytes)
{
    static uint8_t payload[MEBIBYTE];
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.seq = seq;
    record.deliver.payload = slice_of(payload, payload_bytes);
    link_record_put(&fixture->stream.out, &record);
    assert_false(fixture->stream.out.failed);
}

/* Takes whole messages off the front of what the peer has read: their records must be whole, and
 * numbered without a gap. The last number seen. */
static uint64_t check_messages(struct buffer *read_bytes, uint64_t seq)
{
    size_t len = 0;
    struct slice bytes = buffer_slice(read_bytes);
    while (sp_head_decode(bytes, MESSAGE_MAX_BYTES, &len) == PARSE_DONE &&
           bytes.len >= SP_HEAD_BYTES + len) {
        struct slice batch = slice_of(bytes.data + SP_HEAD_BYTES, len);
        struct link_record record;
        int count = 0;
        while (batch.len > 0) {
            assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
            assert_int_equal(record.deliver.seq, ++seq);
            count++;
        }
        assert_true(len <= BATCH_MAX_BYTES || count == 1);
        buffer_consume(read_bytes, SP_HEAD_BYTES + len);
        bytes = buffer_slice(read_bytes);
    }
    return seq;
}

/* More is put while a batch is half-way out; every fourth record is a batch by itself. */
static void a_slow_reader_gets_all_whole_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    const size_t payloads[] = {10, 100000, 3, 700000, 40, 5000, 0, 300000};
    const uint64_t last_seq = 200;
    struct buffer read_bytes;
    buffer_init(&read_bytes, OUT_MAX_BYTES);
    uint64_t put_seq = 0;
    uint64_t seen_seq = 0;
    int full_count = 0;
    while (seen_seq < last_seq) {
        while (put_seq < last_seq && buffer_len(&fixture->stream.out) < 2 * MEBIBYTE) {
            put_seq++;
            put_record(fixture, put_seq, payloads[put_seq % (sizeof payloads / sizeof *payloads)]);
        }
        enum stream_result result = link_stream_write(&fixture->stream);
        assert_int_not_equal(result, STREAM_FAILED);
        full_count += result == STREAM_FULL;
        size_t piece = 1 + (size_t)full_count * 7919 % 60000;
        uint8_t *room = buffer_reserve(&read_bytes, piece);
        assert_non_null(room);
        ssize_t count = read(fixture->peer_fd, room, piece);
        assert_true(count > 0 || errno == EAGAIN);
        buffer_commit(&read_bytes, count > 0 ? (size_t)count : 0);
        seen_seq = check_messages(&read_bytes, seen_seq);
    }
    assert_true(full_count > 100);
    assert_int_equal(buffer_len(&read_bytes), 0);
    assert_int_equal(link_stream_write(&fixture->stream), STREAM_ALL);
    buffer_fini(&read_bytes);
}

static void a_batch_ends_with_its_socket(void **state)
{
    struct fixture *fixture = *state;
    put_record(fixture, 1, MEBIBYTE);
    assert_int_equal(link_stream_write(&fixture->stream), STREAM_FULL);
    (void)close(fixture->stream.fd);
    link_stream_close(&fixture->stream);
    close_peer(fixture);
    assert_int_equal(buffer_len(&fixture->stream.out), 0);
    assert_int_equal(fixture->stream.out.cap, 0);

    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_true(link_stream_open(&fixture->stream, fds[0]));
    fixture->peer_fd = fds[1];
    put_record(fixture, 1, 10);
    assert_int_equal(link_stream_write(&fixture->stream), STREAM_ALL);
    uint8_t bytes[200];
    ssize_t count = read(fixture->peer_fd, bytes, sizeof bytes);
    assert_true(count > SP_OPENING_BYTES + SP_HEAD_BYTES);
    struct buffer read_bytes;
    buffer_init(&read_bytes, sizeof bytes);
    buffer_put(&read_bytes, slice_drop(slice_of(bytes, (size_t)count), SP_OPENING_BYTES));
    assert_int_equal(check_messages(&read_bytes, 0), 1);
    assert_int_equal(buffer_len(&read_bytes), 0);
    buffer_fini(&read_bytes);
}

int main(void)
{
#define STREAM_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STREAM_TEST(an_opening_and_messages_may_come_in_one_piece),
        STREAM_TEST(bytes_may_come_one_by_one),
        STREAM_TEST(wrong_heads_are_bad),
        STREAM_TEST(memory_grows_with_what_has_arrived),
        STREAM_TEST(what_was_sent_before_the_end_is_read_before_the_end),
        STREAM_TEST(a_slow_reader_gets_all_whole_and_in_order),
        STREAM_TEST(a_batch_ends_with_its_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
