/* The link, both ends in one loop over a real ipc socket: batches arrive whole and in order, a
 * connection begins and ends strictly in turn, either side may come first or come back. */
#include "tests/unit/common/link_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

static bool both_are_down(struct fixture *fixture)
{
    return !fixture->broker.is_up && !fixture->gateway.is_up;
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
