#include "broker/call_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <signal.h>

enum { TEXT_MAX_BYTES = 65536 };

struct place {
    char dir[64];
    char path[96];
    char old_path[96];
    char text[TEXT_MAX_BYTES];
};

static void init(struct place *place)
{
    (void)snprintf(place->dir, sizeof place->dir, "/tmp/call_log_test.XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->path, sizeof place->path, "%s/calls", place->dir);
    (void)snprintf(place->old_path, sizeof place->old_path, "%s/calls.1", place->dir);
}

static void fini(struct place *place)
{
    (void)unlink(place->path);
    (void)unlink(place->old_path);
    assert_int_equal(rmdir(place->dir), 0);
}

static const char *read_file(struct place *place, const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t count = fread(place->text, 1, sizeof place->text - 1, file);
    place->text[count] = '\0';
    (void)fclose(file);
    return place->text;
}

static struct call_report report_of(const char *call_id)
{
    return (struct call_report){
        .call_id = slice_from_string(call_id),
        .caller = slice_from_string("al\"ice"),
        .callee = slice_from_string("bob"),
        .device = slice_from_string("phone"),
        .reason = slice_from_string("bye\n"),
        .result = "completed",
        .ring_ms = 1500,
        .talk_ms = 61000,
    };
}

static void test_a_line_a_call(void **state)
{
    (void)state;
    struct place place;
    init(&place);
    struct call_log *log = call_log_open(place.path);
    assert_non_null(log);
    struct call_report report = report_of("c-1");
    call_log_write(log, &report);
    report = report_of("c-2");
    call_log_write(log, &report);
    call_log_close(log);
    const char *text = read_file(&place, place.path);
    assert_int_equal(strncmp(text, "{\"event\":\"call-ended\",\"time\":\"20", 31), 0);
    assert_non_null(strstr(text,
                           "Z\",\"callId\":\"c-1\",\"caller\":\"al\\\"ice\",\"callee\":\"bob\","
                           "\"device\":\"phone\",\"result\":\"completed\",\"reason\":\"bye\\n\","
                           "\"ring_ms\":1500,\"talk_ms\":61000}\n{"));
    assert_non_null(strstr(text, "\"c-2\""));
    assert_int_equal(text[strlen(text) - 1], '\n');
    fini(&place);
}

static void test_it_goes_on_in_a_new_file(void **state)
{
    (void)state;
    struct place place;
    init(&place);
    struct call_log *log = call_log_open(place.path);
    struct call_report report = report_of("old");
    call_log_write(log, &report);
    assert_int_equal(rename(place.path, place.old_path), 0);
    report = report_of("still-old");
    call_log_write(log, &report);
    call_log_reopen(log);
    report = report_of("new");
    call_log_write(log, &report);
    call_log_close(log);
    assert_non_null(strstr(read_file(&place, place.old_path), "still-old"));
    assert_non_null(strstr(read_file(&place, place.path), "\"new\""));
    assert_null(strstr(place.text, "old"));
    fini(&place);
}

/* A file that may not grow beyond a size is a disk that is full there. */
static void test_a_line_that_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    struct place place;
    init(&place);
    struct call_log *log = call_log_open(place.path);
    struct call_report report = report_of("whole");
    call_log_write(log, &report);
    size_t whole_bytes = strlen(read_file(&place, place.path));
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = whole_bytes + 10, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    report = report_of("lost");
    call_log_write(log, &report);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(strlen(read_file(&place, place.path)), whole_bytes);
    report = report_of("next");
    call_log_write(log, &report);
    assert_non_null(strstr(read_file(&place, place.path), "}\n{\"event\""));
    assert_null(strstr(place.text, "lost"));
    call_log_close(log);
    fini(&place);
}

static void test_a_place_that_is_not_there(void **state)
{
    (void)state;
    assert_null(call_log_open("/nonexistent/calls"));
    call_log_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_a_call),
        cmocka_unit_test(test_it_goes_on_in_a_new_file),
        cmocka_unit_test(test_a_line_that_does_not_fit_leaves_nothing),
        cmocka_unit_test(test_a_place_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
