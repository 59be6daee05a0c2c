/* A slot's socket file: whose it is, and when it may be replaced or removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    struct link_path path;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof fixture->dir, "/tmp/link-path-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    assert_true(link_path_init(&fixture->path, fixture->dir, 7));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->path.address.sun_path);
    assert_int_equal(rmdir(fixture->dir), 0);
    free(fixture);
    return 0;
}

static bool is_there(const struct fixture *fixture)
{
    return access(fixture->path.address.sun_path, F_OK) == 0;
}

static void a_socket_that_is_listened_at_can_be_dialed(void **state)
{
    struct fixture *fixture = *state;
    int listen_fd = link_path_listen(&fixture->path);
    assert_true(listen_fd >= 0);
    int fd = link_path_dial(&fixture->path);
    assert_true(fd >= 0);
    const int fds[] = {listen_fd, fd};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fcntl(fds[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        (void)close(fds[i]);
    }
    link_path_unlink(&fixture->path);
    assert_false(is_there(fixture));
}

static void nobody_there_is_told_from_nobody_listening(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(link_path_dial(&fixture->path), -1);
    assert_int_equal(errno, ENOENT);
    (void)close(link_path_listen(&fixture->path));
    assert_int_equal(link_path_dial(&fixture->path), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

static void too_many_who_wait_are_told_to_come_back(void **state)
{
    struct fixture *fixture = *state;
    int listen_fd = link_path_listen(&fixture->path);
    int fds[64];
    size_t count = 0;
    while (count < 64 && (fds[count] = link_path_dial(&fixture->path)) >= 0) {
        count++;
    }
    assert_true(count > 0 && count < 64);
    assert_int_equal(errno, EAGAIN);
    /* Full is not dead: it is not replaced. */
    struct link_path other = fixture->path;
    assert_int_equal(link_path_listen(&other), -1);
    assert_int_equal(errno, EADDRINUSE);
    while (count > 0) {
        (void)close(fds[--count]);
    }
    (void)close(listen_fd);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct link_path killed = fixture->path;
    (void)close(link_path_listen(&killed)); /* it leaves its file, as a killed process does */
    assert_true(is_there(fixture));
    int fd = link_path_listen(&fixture->path);
    assert_true(fd >= 0);

    struct link_path second;
    assert_true(link_path_init(&second, fixture->dir, 7));
    assert_int_equal(link_path_listen(&second), -1);
    assert_int_equal(errno, EADDRINUSE);
    int dialed_fd = link_path_dial(&fixture->path);
    assert_true(dialed_fd >= 0); /* the first has not been hurt */
    (void)close(dialed_fd);

    link_path_unlink(&second); /* nor does who has failed to get it remove it */
    assert_true(is_there(fixture));
    link_path_unlink(&fixture->path);
    assert_false(is_there(fixture));
    (void)close(fd);
}

static void a_file_that_is_somebody_elses_by_now_stays(void **state)
{
    struct fixture *fixture = *state;
    int fd = link_path_listen(&fixture->path);
    assert_int_equal(unlink(fixture->path.address.sun_path), 0);
    struct link_path second;
    assert_true(link_path_init(&second, fixture->dir, 7));
    int second_fd = link_path_listen(&second);
    assert_true(fd >= 0 && second_fd >= 0);
    link_path_unlink(&fixture->path);
    assert_true(is_there(fixture));
    (void)close(fd);
    (void)close(second_fd);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    int file_fd = open(fixture->path.address.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file_fd >= 0);
    (void)close(file_fd);
    assert_int_equal(link_path_listen(&fixture->path), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_true(is_there(fixture));
}

static void a_path_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct link_path path;
    assert_true(link_path_init(&path, "/nonexistent/directory", 0));
    assert_int_equal(link_path_listen(&path), -1);
    assert_int_equal(errno, ENOENT);

    /* With its NUL it is as long as the address has room for, then longer by one. */
    char dir[sizeof path.address.sun_path + 1];
    memset(dir, 'x', sizeof dir);
    dir[sizeof path.address.sun_path - sizeof "/slot-0.ipc"] = '\0';
    assert_true(link_path_init(&path, dir, 0));
    assert_false(link_path_init(&path, dir, 10));
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
#define PATH_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PATH_TEST(a_socket_that_is_listened_at_can_be_dialed),
        PATH_TEST(nobody_there_is_told_from_nobody_listening),
        PATH_TEST(too_many_who_wait_are_told_to_come_back),
        PATH_TEST(a_stale_socket_is_replaced_and_a_live_one_is_not),
        PATH_TEST(a_file_that_is_somebody_elses_by_now_stays),
        PATH_TEST(what_is_no_socket_is_left_alone),
        PATH_TEST(a_path_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
