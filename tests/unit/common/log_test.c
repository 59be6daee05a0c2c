/* The log: one line an event, whatever the text in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"

#include <stdio.h>
#include <unistd.h>

/* What log_write puts on standard error while `action` runs. */
static size_t capture(char *out, size_t out_max, void (*action)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    action();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(ends[1]);
    ssize_t count = read(ends[0], out, out_max - 1);
    (void)close(ends[0]);
    assert_true(count >= 0);
    out[count] = '\0';
    return (size_t)count;
}

static void log_plain(void)
{
    log_write(LOG_LEVEL_INFO, "link-up", "slot=%d", 3);
}

static void log_below_the_level(void)
{
    log_write(LOG_LEVEL_DEBUG, "hidden", "a=%d", 1);
}

static void log_endless(void)
{
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_write(LOG_LEVEL_WARN, "long", "text=%s", text);
}

static void a_line_is_level_event_and_fields(void **state)
{
    (void)state;
    char line[2048];
    (void)capture(line, sizeof line, log_plain);
    assert_string_equal(line, "info link-up slot=3\n");
}

static void a_line_above_the_level_is_not_written(void **state)
{
    (void)state;
    char line[2048];
    assert_int_equal(capture(line, sizeof line, log_below_the_level), 0);
    log_set_level(LOG_LEVEL_DEBUG);
    assert_int_not_equal(capture(line, sizeof line, log_below_the_level), 0);
    log_set_level(LOG_LEVEL_INFO);
}

static void a_line_is_cut_and_still_a_line(void **state)
{
    (void)state;
    char line[2048];
    size_t len = capture(line, sizeof line, log_endless);
    assert_true(len <= 1024);
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void quoted_text_cannot_forge_a_line(void **state)
{
    (void)state;
    const char *hostile = "a\nerror forged \"x\" \\ \x1b[2J";
    struct log_quoted quoted = log_quote(slice_from_string(hostile));
    assert_string_equal(quoted.text, "\"a\\x0aerror forged \\x22x\\x22 \\x5c \\x1b[2J\"");
    char many[300];
    memset(many, '\n', sizeof many);
    quoted = log_quote(slice_of(many, sizeof many));
    size_t len = strlen(quoted.text);
    assert_true(len < sizeof quoted.text && quoted.text[len - 1] == '"');
}

static void set_a_level_that_is_none(void)
{
    assert_false(log_set_level_by_name("loud"));
}

static void levels_have_names(void **state)
{
    (void)state;
    char line[2048];
    assert_true(log_set_level_by_name("debug"));
    assert_int_not_equal(capture(line, sizeof line, log_below_the_level), 0);
    assert_true(log_set_level_by_name("info"));
    assert_int_equal(capture(line, sizeof line, log_below_the_level), 0);
    (void)capture(line, sizeof line, set_a_level_that_is_none);
    assert_non_null(strstr(line, "\"loud\" is not"));
    assert_int_equal(capture(line, sizeof line, log_below_the_level), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_level_event_and_fields),
        cmocka_unit_test(a_line_above_the_level_is_not_written),
        cmocka_unit_test(a_line_is_cut_and_still_a_line),
        cmocka_unit_test(quoted_text_cannot_forge_a_line),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
