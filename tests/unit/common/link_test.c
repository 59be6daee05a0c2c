/* The link, both ends in one loop over a real ipc socket: batches arrive whole and in order, a
 * connection begins and ends strictly in turn, either side may come first or come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link.h"
#include "common/link_codec.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000, BACKLOG_MAX_BYTES = 8 * 1024 * 1024 };

/* One end, and all that it has seen. */
struct end {
    struct fixture *fixture;
    struct link *link;
    bool is_up;
    int up_count;
    int down_count;
    uint64_t seqs_seen; /* records arrive as 1, 2, 3, ... */
    int batch_count;
    bool refuses_batches;
};

struct fixture {
    struct loop *loop;
    struct end broker;
    struct end gateway;
    struct loop_timer deadline;
    struct loop_timer first_turn;
    bool (*is_done)(struct fixture *fixture);
    char link_dir[64];
};

static void on_up(void *arg)
{
    struct end *end = arg;
    assert_false(end->is_up);
    end->is_up = true;
    end->up_count++;
    end->seqs_seen = 0;
    assert_int_equal(buffer_len(link_out(end->link)), 0);
}

static void on_down(void *arg)
{
    struct end *end = arg;
    assert_true(end->is_up);
    end->is_up = false;
    end->down_count++;
}

static bool on_batch(void *arg, struct slice batch)
{
    struct end *end = arg;
    assert_true(end->is_up);
    end->batch_count++;
    struct link_record record;
    while (batch.len > 0) {
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.kind, LINK_DELIVER);
        end->seqs_seen++;
        assert_int_equal(record.deliver.seq, end->seqs_seen);
    }
    return !end->refuses_batches;
}

static const struct link_handlers handlers = {
    .on_up = on_up,
    .on_down = on_down,
    .on_batch = on_batch,
};

static void on_turn_end(void *arg)
{
    struct fixture *fixture = arg;
    if (fixture->broker.link != NULL) {
        link_flush(fixture->broker.link, true);
    }
    if (fixture->gateway.link != NULL) {
        link_flush(fixture->gateway.link, true);
    }
    if (fixture->is_done(fixture)) {
        loop_stop(fixture->loop);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static void on_first_turn(struct loop_timer *timer)
{
    (void)timer;
}

static struct link *open_link(struct fixture *fixture, struct end *end, enum link_role role)
{
    struct link_config config = {
        .role = role,
        .link_dir = fixture->link_dir,
        .slot = 0,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
    };
    end->fixture = fixture;
    return link_new(fixture->loop, &config, &handlers, end);
}

/* Turns until `is_done`; the first turn comes at once, and sends what the test has put. */
static void run_until(struct fixture *fixture, bool (*is_done)(struct fixture *fixture))
{
    fixture->is_done = is_done;
    loop_timer_set(fixture->loop, &fixture->deadline, loop_now_ms(fixture->loop) + DEADLINE_MS);
    loop_timer_set(fixture->loop, &fixture->first_turn, loop_now_ms(fixture->loop));
    loop_run(fixture->loop);
    loop_timer_cancel(fixture->loop, &fixture->deadline);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->link_dir, sizeof fixture->link_dir, "/tmp/link-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->link_dir));
    fixture->loop = loop_new(on_turn_end, fixture);
    assert_non_null(fixture->loop);
    fixture->deadline.on_due = on_deadline;
    fixture->first_turn.on_due = on_first_turn;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    link_free(fixture->gateway.link);
    link_free(fixture->broker.link);
    loop_free(fixture->loop);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/slot-0.ipc", fixture->link_dir);
    (void)unlink(path);
    assert_int_equal(rmdir(fixture->link_dir), 0);
    free(fixture);
    return 0;
}

static bool both_are_up(struct fixture *fixture)
{
    return fixture->broker.is_up && fixture->gateway.is_up;
}

static bool both_are_down(struct fixture *fixture)
{
    return !fixture->broker.is_up && !fixture->gateway.is_up;
}

static void open_both(struct fixture *fixture)
{
    fixture->broker.link = open_link(fixture, &fixture->broker, LINK_LISTENS);
    assert_non_null(fixture->broker.link);
    fixture->gateway.link = open_link(fixture, &fixture->gateway, LINK_DIALS);
    assert_non_null(fixture->gateway.link);
    run_until(fixture, both_are_up);
}

static void put_delivers(struct link *link, uint64_t first_seq, uint64_t last_seq, size_t bytes)
{
    uint8_t *payload = calloc(1, bytes);
    assert_non_null(payload);
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        struct link_record record = {.kind = LINK_DELIVER};
        record.deliver.seq = seq;
        record.deliver.payload = slice_of(payload, bytes);
        link_record_put(link_out(link), &record);
        assert_false(link_out(link)->failed);
    }
    free(payload);
}

static bool gateway_saw_10000(struct fixture *fixture)
{
    return fixture->gateway.seqs_seen == 10000;
}

static void many_records_arrive_in_order_in_few_batches(void **state)
{
    struct fixture *fixture = *state;
    open_both(fixture);
    put_delivers(fixture->broker.link, 1, 10000, 100);
    run_until(fixture, gateway_saw_10000);
    assert_true(fixture->gateway.batch_count < 20);
}

static bool both_saw_3(struct fixture *fixture)
{
    return fixture->gateway.seqs_seen == 3 && fixture->broker.seqs_seen == 3;
}

static void both_directions_carry_and_a_huge_record_fits(void **state)
{
    struct fixture *fixture = *state;
    open_both(fixture);
    put_delivers(fixture->broker.link, 1, 2, 10);
    put_delivers(fixture->broker.link, 3, 3, 4 * 1024 * 1024);
    put_delivers(fixture->gateway.link, 1, 3, 200 * 1024);
    run_until(fixture, both_saw_3);
}

static bool gateway_was_up_twice(struct fixture *fixture)
{
    return fixture->gateway.up_count == 2 && both_are_up(fixture);
}

static void a_gateway_may_come_first_and_outlives_its_broker(void **state)
{
    struct fixture *fixture = *state;
    fixture->gateway.link = open_link(fixture, &fixture->gateway, LINK_DIALS);
    assert_non_null(fixture->gateway.link);
    fixture->broker.link = open_link(fixture, &fixture->broker, LINK_LISTENS);
    run_until(fixture, both_are_up);
    link_free(fixture->broker.link);
    fixture->broker.link = NULL;
    fixture->broker.is_up = false;
    run_until(fixture, both_are_down);
    assert_int_equal(fixture->gateway.down_count, 1);
    fixture->broker.link = open_link(fixture, &fixture->broker, LINK_LISTENS);
    run_until(fixture, gateway_was_up_twice);
}

/* A gateway that dials before the broker has seen the end of the old connection is turned away, so
 * it may see more ends than the broker. */
static bool gateway_is_back(struct fixture *fixture)
{
    return fixture->broker.down_count == 1 && fixture->gateway.down_count >= 1 &&
           both_are_up(fixture);
}

static bool gateway_saw_3(struct fixture *fixture)
{
    return fixture->gateway.seqs_seen == 3;
}

static void a_malformed_batch_ends_the_connection_and_not_the_link(void **state)
{
    struct fixture *fixture = *state;
    open_both(fixture);
    fixture->broker.refuses_batches = true;
    put_delivers(fixture->gateway.link, 1, 1, 10);
    run_until(fixture, gateway_is_back);
    assert_int_equal(fixture->broker.up_count, 2);
    fixture->broker.refuses_batches = false;
    put_delivers(fixture->broker.link, 1, 3, 10);
    run_until(fixture, gateway_saw_3);
}

static void what_was_not_sent_dies_with_its_connection(void **state)
{
    struct fixture *fixture = *state;
    open_both(fixture);
    put_delivers(fixture->gateway.link, 1, 5, 10);
    link_end(fixture->gateway.link);
    assert_int_equal(fixture->gateway.down_count, 1);
    assert_int_equal(buffer_len(link_out(fixture->gateway.link)), 0);
    run_until(fixture, gateway_is_back);
    assert_int_equal(fixture->broker.batch_count, 0);
}

/* A socket file that a killed broker left behind. */
static void a_stale_socket_is_taken_over(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/slot-0.ipc", fixture->link_dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    open_both(fixture);
}

static void a_path_that_cannot_be_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char good[sizeof fixture->link_dir];
    memcpy(good, fixture->link_dir, sizeof good);
    (void)snprintf(fixture->link_dir, sizeof fixture->link_dir, "/nonexistent/directory");
    assert_null(open_link(fixture, &fixture->broker, LINK_LISTENS));
    memcpy(fixture->link_dir, good, sizeof good);
}

int main(void)
{
#define LINK_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LINK_TEST(many_records_arrive_in_order_in_few_batches),
        LINK_TEST(both_directions_carry_and_a_huge_record_fits),
        LINK_TEST(a_gateway_may_come_first_and_outlives_its_broker),
        LINK_TEST(a_malformed_batch_ends_the_connection_and_not_the_link),
        LINK_TEST(what_was_not_sent_dies_with_its_connection),
        LINK_TEST(a_stale_socket_is_taken_over),
        LINK_TEST(a_path_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
