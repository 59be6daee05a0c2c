/* The listener: takes newcomers on a free or shared port, and refuses bad addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    int accepted_fds[16];
    int accepted_count;
    int expected_count;
};

static void on_turn_end(void *arg)
{
    struct fixture *fixture = arg;
    if (fixture->accepted_count >= fixture->expected_count) {
        loop_stop(fixture->loop);
    }
}

static void on_accept(void *arg, int fd)
{
    struct fixture *fixture = arg;
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    fixture->accepted_fds[fixture->accepted_count++] = fd;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->loop = loop_new(on_turn_end, fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < fixture->accepted_count; i++) {
        (void)close(fixture->accepted_fds[i]);
    }
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

/* A port that nobody else has right now. */
static uint16_t free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static struct listener *open_on(struct fixture *fixture, uint16_t port)
{
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    return listener_open(fixture->loop, address, on_accept, fixture);
}

static void two_listeners_share_a_port(void **state)
{
    struct fixture *fixture = *state;
    uint16_t port = free_port();
    struct listener *first = open_on(fixture, port);
    struct listener *second = open_on(fixture, port);
    assert_non_null(first);
    assert_non_null(second);
    int fds[8];
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = dial(port);
    }
    fixture->expected_count = ARRAY_LENGTH(fds);
    loop_run(fixture->loop);
    assert_int_equal(fixture->accepted_count, ARRAY_LENGTH(fds));
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        (void)close(fds[i]);
    }
    listener_close(first);
    listener_close(second);
}

static void who_waits_is_taken_in_before_the_port_is_left(void **state)
{
    struct fixture *fixture = *state;
    uint16_t port = free_port();
    struct listener *listener = open_on(fixture, port);
    int fd = dial(port);
    listener_close(listener);
    assert_int_equal(fixture->accepted_count, 1);
    (void)close(fd);
}

static void without_descriptors_it_waits_and_then_goes_on(void **state)
{
    struct fixture *fixture = *state;
    uint16_t port = free_port();
    struct listener *listener = open_on(fixture, port);
    int first = dial(port);
    int second = dial(port);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* No descriptor is left: the first newcomer is sent away, and accepting pauses. */
    struct rlimit none = {.rlim_cur = (rlim_t)second + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fixture->expected_count = 0;
    loop_run(fixture->loop);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(fixture->accepted_count, 0);
    char byte;
    assert_int_equal(recv(first, &byte, 1, 0), 0);
    listener_close(listener);
    assert_int_equal(fixture->accepted_count, 1);
    (void)close(first);
    (void)close(second);
}

static void bad_addresses_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {
        "", "8080", ":8080", "localhost", "127.0.0.1:x", "256.256.256.256:80", "192.0.2.1:1"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_null(listener_open(fixture->loop, bad[i], on_accept, fixture));
    }
}

int main(void)
{
#define LISTENER_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(two_listeners_share_a_port),
        LISTENER_TEST(who_waits_is_taken_in_before_the_port_is_left),
        LISTENER_TEST(without_descriptors_it_waits_and_then_goes_on),
        LISTENER_TEST(bad_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
