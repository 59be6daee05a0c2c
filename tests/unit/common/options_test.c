/* The flags: command line before environment before default, and clear refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct target {
    const char *name;
    uint64_t size;
};

static const struct option_row rows[] = {
    {"the-name", "NAME", "A name.", NULL, OPTION_STRING, 0, 0, offsetof(struct target, name)},
    {"the-size", "bytes", "A size.", "7", OPTION_NUMBER, 1, 100, offsetof(struct target, size)},
};

static enum options_result parse(struct target *target, int argc, ...)
{
    char *argv[8] = {(char *)(uintptr_t) "program"};
    va_list args;
    va_start(args, argc);
    for (int i = 1; i <= argc; i++) {
        argv[i] = va_arg(args, char *);
    }
    va_end(args);
    return options_parse(rows, ARRAY_LENGTH(rows), "summary", argc + 1, argv, target);
}

static void the_default_fills_what_is_not_given(void **state)
{
    (void)state;
    struct target target = {0};
    assert_int_equal(parse(&target, 2, "--the-name", "alice"), OPTIONS_RUN);
    assert_string_equal(target.name, "alice");
    assert_int_equal(target.size, 7);
}

static void the_environment_stands_behind_the_command_line(void **state)
{
    (void)state;
    struct target target = {0};
    assert_int_equal(setenv("SWITCHBOARD_THE_SIZE", "9", 1), 0);
    assert_int_equal(setenv("SWITCHBOARD_THE_NAME", "bob", 1), 0);
    assert_int_equal(parse(&target, 0), OPTIONS_RUN);
    assert_string_equal(target.name, "bob");
    assert_int_equal(target.size, 9);
    assert_int_equal(parse(&target, 1, "--the-size=11"), OPTIONS_RUN);
    assert_int_equal(target.size, 11);
    assert_int_equal(setenv("SWITCHBOARD_THE_SIZE", "none", 1), 0);
    assert_int_equal(parse(&target, 0), OPTIONS_BAD);
    assert_int_equal(unsetenv("SWITCHBOARD_THE_SIZE"), 0);
    assert_int_equal(unsetenv("SWITCHBOARD_THE_NAME"), 0);
}

static void a_required_flag_is_asked_for(void **state)
{
    (void)state;
    struct target target = {0};
    assert_int_equal(parse(&target, 0), OPTIONS_BAD);
}

static void numbers_are_whole_and_within_bounds(void **state)
{
    (void)state;
    static char *const bad[] = {
        "", "0", "101", "-1", "+5", " 5", "5 ", "5k", "0x5", "1e1", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct target target = {0};
        assert_int_equal(parse(&target, 4, "--the-name", "a", "--the-size", bad[i]), OPTIONS_BAD);
    }
    static char *const good[] = {"1", "100"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        struct target target = {0};
        assert_int_equal(parse(&target, 4, "--the-name", "a", "--the-size", good[i]), OPTIONS_RUN);
    }
}

static void what_is_not_known_is_refused(void **state)
{
    (void)state;
    struct target target = {0};
    assert_int_equal(parse(&target, 3, "--the-name", "a", "--nothing"), OPTIONS_BAD);
    assert_int_equal(parse(&target, 3, "--the-name", "a", "stray"), OPTIONS_BAD);
    assert_int_equal(parse(&target, 1, "--the-name"), OPTIONS_BAD);
    assert_int_equal(parse(&target, 1, "--help"), OPTIONS_HELP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_fills_what_is_not_given),
        cmocka_unit_test(the_environment_stands_behind_the_command_line),
        cmocka_unit_test(a_required_flag_is_asked_for),
        cmocka_unit_test(numbers_are_whole_and_within_bounds),
        cmocka_unit_test(what_is_not_known_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
