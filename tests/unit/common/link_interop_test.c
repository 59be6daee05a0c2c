/* The link speaks to a PAIR0 socket of the real nng library, whichever of the two listens: batches
 * of every size arrive whole and in order both ways, and a connection that ended comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link.h"
#include "common/link_codec.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BACKLOG_MAX_BYTES = 64 * 1024 * 1024,
    RECEIVE_MAX_BYTES = LINK_PAYLOAD_MAX_BYTES + LINK_RECORD_OVERHEAD_BYTES,
    NNG_BUFFER_MESSAGES = 1024,
    RECONNECT_MS = 10,
    DEADLINE_MS = 30000,
    TURN_MS = 1,
};

static const size_t payload_bytes[] = {
    0, 1, 150, 150, 4000, 65536, 262144, 300000, 1, 4 * 1024 * 1024, LINK_PAYLOAD_MAX_BYTES, 2,
};
enum { RECORD_COUNT = sizeof payload_bytes / sizeof payload_bytes[0] };

struct fixture {
    struct loop *loop;
    struct link *link;
    nng_socket nng;
    bool is_up;
    int up_count;
    int down_count;
    uint64_t link_seen; /* records since the link came up */
    uint64_t nng_seen;
    struct loop_timer deadline;
    struct loop_timer turn; /* nng is asked again and again: it is the test's, not the loop's */
    bool (*is_done)(struct fixture *fixture);
    char link_dir[64];
    char url[128];
};

static uint8_t *pattern;

static void on_up(void *arg)
{
    struct fixture *fixture = arg;
    fixture->is_up = true;
    fixture->up_count++;
    fixture->link_seen = 0;
}

static void on_down(void *arg)
{
    struct fixture *fixture = arg;
    fixture->is_up = false;
    fixture->down_count++;
}

static uint64_t check_batch(struct slice batch, uint64_t seen)
{
    while (batch.len > 0) {
        struct link_record record;
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.kind, LINK_DELIVER);
        assert_int_equal(record.deliver.seq, seen);
        size_t len = payload_bytes[seen % RECORD_COUNT];
        assert_true(slice_equal(record.deliver.payload, slice_of(pattern, len)));
        seen++;
    }
    return seen;
}

static bool on_batch(void *arg, struct slice batch)
{
    struct fixture *fixture = arg;
    fixture->link_seen = check_batch(batch, fixture->link_seen);
    return true;
}

static const struct link_handlers handlers = {
    .on_up = on_up,
    .on_down = on_down,
    .on_batch = on_batch,
};

static void nng_receive(struct fixture *fixture)
{
    nng_msg *msg = NULL;
    while (nng_recvmsg(fixture->nng, &msg, NNG_FLAG_NONBLOCK) == 0) {
        fixture->nng_seen =
            check_batch(slice_of(nng_msg_body(msg), nng_msg_len(msg)), fixture->nng_seen);
        nng_msg_free(msg);
    }
}

static void on_turn_end(void *arg)
{
    struct fixture *fixture = arg;
    link_flush(fixture->link, true);
    nng_receive(fixture);
    loop_timer_set(fixture->loop, &fixture->turn, loop_now_ms(fixture->loop) + TURN_MS);
    if (fixture->is_done(fixture)) {
        loop_stop(fixture->loop);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static void on_turn(struct loop_timer *timer)
{
    (void)timer;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->link_dir, sizeof fixture->link_dir, "/tmp/link-interop-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->link_dir));
    (void)snprintf(fixture->url, sizeof fixture->url, "ipc://%s/slot-0.ipc", fixture->link_dir);
    fixture->loop = loop_new(on_turn_end, fixture);
    assert_non_null(fixture->loop);
    fixture->deadline.on_due = on_deadline;
    fixture->turn.on_due = on_turn;
    assert_int_equal(nng_pair0_open(&fixture->nng), 0);
    nng_socket nng = fixture->nng;
    assert_int_equal(nng_socket_set_int(nng, NNG_OPT_SENDBUF, NNG_BUFFER_MESSAGES), 0);
    assert_int_equal(nng_socket_set_int(nng, NNG_OPT_RECVBUF, NNG_BUFFER_MESSAGES), 0);
    assert_int_equal(nng_socket_set_size(nng, NNG_OPT_RECVMAXSZ, RECEIVE_MAX_BYTES), 0);
    assert_int_equal(nng_socket_set_ms(nng, NNG_OPT_RECONNMINT, RECONNECT_MS), 0);
    assert_int_equal(nng_socket_set_ms(nng, NNG_OPT_RECONNMAXT, RECONNECT_MS), 0);
    *state = fixture;
    return 0;
}

/* The nng socket is left to the end of the program: its close can wait for ever when the connection
 * ends at the same moment (nng 1.5.2). */
static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    link_free(fixture->link);
    loop_free(fixture->loop);
    (void)unlink(fixture->url + strlen("ipc://"));
    assert_int_equal(rmdir(fixture->link_dir), 0);
    free(fixture);
    return 0;
}

static void open_link(struct fixture *fixture, enum link_role role)
{
    struct link_config config = {
        .role = role,
        .link_dir = fixture->link_dir,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
    };
    fixture->link = link_new(fixture->loop, &config, &handlers, fixture);
    assert_non_null(fixture->link);
}

static void run_until(struct fixture *fixture, bool (*is_done)(struct fixture *fixture))
{
    fixture->is_done = is_done;
    uint64_t now_ms = loop_now_ms(fixture->loop);
    loop_timer_set(fixture->loop, &fixture->deadline, now_ms + DEADLINE_MS);
    loop_timer_set(fixture->loop, &fixture->turn, now_ms);
    loop_run(fixture->loop);
    loop_timer_cancel(fixture->loop, &fixture->deadline);
}

static bool is_up(struct fixture *fixture)
{
    return fixture->is_up;
}

static bool is_up_again(struct fixture *fixture)
{
    return fixture->is_up && fixture->down_count > 0;
}

static bool both_saw_all(struct fixture *fixture)
{
    return fixture->link_seen == RECORD_COUNT && fixture->nng_seen == RECORD_COUNT;
}

static void put_record(struct buffer *out, uint64_t seq)
{
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.seq = seq;
    record.deliver.payload = slice_of(pattern, payload_bytes[seq % RECORD_COUNT]);
    link_record_put(out, &record);
    assert_false(out->failed);
}

static void nng_send_bytes(struct fixture *fixture, struct slice bytes)
{
    nng_msg *msg = NULL;
    assert_int_equal(nng_msg_alloc(&msg, 0), 0);
    assert_int_equal(nng_msg_append(msg, bytes.data, bytes.len), 0);
    assert_int_equal(nng_sendmsg(fixture->nng, msg, NNG_FLAG_NONBLOCK), 0);
}

static void exchange_all(struct fixture *fixture)
{
    fixture->link_seen = 0;
    fixture->nng_seen = 0;
    struct buffer batch;
    buffer_init(&batch, BACKLOG_MAX_BYTES);
    for (uint64_t seq = 0; seq < RECORD_COUNT; seq++) {
        put_record(link_out(fixture->link), seq);
        put_record(&batch, seq);
        nng_send_bytes(fixture, buffer_slice(&batch));
        nng_send_bytes(fixture, slice_of(NULL, 0)); /* nng may, we need not mind */
        buffer_clear(&batch);
    }
    buffer_fini(&batch);
    run_until(fixture, both_saw_all);
}

static void check_traffic_and_reconnect(struct fixture *fixture)
{
    run_until(fixture, is_up);
    exchange_all(fixture);
    exchange_all(fixture);
    link_end(fixture->link);
    assert_false(fixture->is_up);
    run_until(fixture, is_up_again);
    exchange_all(fixture);
}

static void nng_dials(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    assert_int_equal(nng_dial(fixture->nng, fixture->url, NULL, NNG_FLAG_NONBLOCK), 0);
    check_traffic_and_reconnect(fixture);
}

static void nng_listens(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_DIALS);
    assert_int_equal(nng_listen(fixture->nng, fixture->url, NULL, 0), 0);
    check_traffic_and_reconnect(fixture);
}

static void nng_dials_what_was_not_there_yet(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(nng_dial(fixture->nng, fixture->url, NULL, NNG_FLAG_NONBLOCK), 0);
    open_link(fixture, LINK_LISTENS);
    run_until(fixture, is_up);
    exchange_all(fixture);
}

int main(void)
{
    pattern = malloc(LINK_PAYLOAD_MAX_BYTES);
    assert_non_null(pattern);
    for (size_t i = 0; i < LINK_PAYLOAD_MAX_BYTES; i++) {
        pattern[i] = (uint8_t)(i * 2654435761U >> 13);
    }
#define INTEROP_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        INTEROP_TEST(nng_dials),
        INTEROP_TEST(nng_listens),
        INTEROP_TEST(nng_dials_what_was_not_there_yet),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    free(pattern);
    return result;
}
