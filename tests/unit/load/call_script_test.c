/* The script of switchboard-calls: texts as they are sent, and which of those that come are right.
 */
#include "tests/load/call_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

enum { BUFFER_MAX_BYTES = 4096, MESSAGE_BYTES = 200 };

struct fixture {
    struct buffer text;
    struct buffer scratch;
    struct call_script script;
};

static const struct call_line start = {.number = 10, .sender = "a", .receiver = "b"};

static void init(struct fixture *fixture, bool is_managed)
{
    buffer_init(&fixture->text, BUFFER_MAX_BYTES);
    buffer_init(&fixture->scratch, BUFFER_MAX_BYTES);
    fixture->script = (struct call_script){
        .is_managed = is_managed,
        .run = 0x7f,
        .message_bytes = MESSAGE_BYTES,
    };
}

static void fini(struct fixture *fixture)
{
    buffer_fini(&fixture->text);
    buffer_fini(&fixture->scratch);
}

static bool check(struct fixture *fixture, const struct call_line *line, const char *text)
{
    return call_script_check(&fixture->script, line, slice_from_string(text), &fixture->scratch);
}

/* What the receiver reads of a line: `words` in place of the brace. */
static void make_received(struct fixture *fixture, const struct call_line *line, const char *words,
                          char received[BUFFER_MAX_BYTES])
{
    buffer_clear(&fixture->text);
    call_script_put(&fixture->text, &fixture->script, line);
    struct slice sent = buffer_slice(&fixture->text);
    assert_int_equal(sent.len, MESSAGE_BYTES);
    (void)snprintf(received, BUFFER_MAX_BYTES, "%s%.*s", words, (int)sent.len - 1, sent.data + 1);
}

static void test_texts(void **state)
{
    (void)state;
    static const char begin[] = "{\"type\":\"call-start\",\"to\":\"b\",\"id\":0,\"callId\":"
                                "\"0000000a-0000-4000-8000-00000000007f\",\"data\":\"xxx";
    struct fixture fixture;
    init(&fixture, true);
    call_script_put(&fixture.text, &fixture.script, &start);
    assert_int_equal(buffer_len(&fixture.text), MESSAGE_BYTES);
    assert_memory_equal(buffer_slice(&fixture.text).data, begin, strlen(begin));
    fini(&fixture);
}

static void test_managed_messages(void **state)
{
    (void)state;
    char received[BUFFER_MAX_BYTES];
    struct fixture fixture;
    init(&fixture, true);
    static const char *const bad[] = {
        "{\"from\":\"a\",\"fromDevice\":\"\",",
        "{\"expiresInMs\":,\"from\":\"a\",\"fromDevice\":\"\",",
        "{\"expiresInMs\":5 ,\"from\":\"a\",\"fromDevice\":\"\",",
        "{\"expiresInMs\":5,\"from\":\"b\",\"fromDevice\":\"\",",
        "{\"expiresInMs\":5,\"from\":\"a\",",
        "",
    };
    make_received(&fixture, &start, "{\"expiresInMs\":59999,\"from\":\"a\",\"fromDevice\":\"\",",
                  received);
    assert_true(check(&fixture, &start, received));
    received[strlen(received) - 1] = ' ';
    assert_false(check(&fixture, &start, received));
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        make_received(&fixture, &start, bad[i], received);
        assert_false(check(&fixture, &start, received));
    }
    assert_false(check(&fixture, &start, ""));
    struct call_line accept = {.step = 2, .number = 10, .sender = "b", .receiver = "a"};
    make_received(&fixture, &accept, "{\"from\":\"b\",\"fromDevice\":\"\",", received);
    assert_true(check(&fixture, &accept, received));
    assert_false(check(&fixture, &start, received));
    accept.number = 11;
    assert_false(check(&fixture, &accept, received));
    fini(&fixture);
}

static void test_plain_messages(void **state)
{
    (void)state;
    char received[BUFFER_MAX_BYTES];
    struct fixture fixture;
    init(&fixture, false);
    make_received(&fixture, &start, "{\"from\":\"a\",", received);
    assert_non_null(strstr(received, "\"callNo\":"));
    assert_true(check(&fixture, &start, received));
    make_received(&fixture, &start, "{\"from\":\"a\",\"fromDevice\":\"\",", received);
    assert_false(check(&fixture, &start, received));
    fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_managed_messages),
        cmocka_unit_test(test_plain_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
