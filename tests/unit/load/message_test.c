#include "tests/load/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX_BYTES = 1024 };

/* Clients 6 and 7, and a message from 6 to 7. */
struct fixture {
    struct message_format format;
    struct message_sheet sender;
    struct message_sheet receiver;
    char text[TEXT_MAX_BYTES];
    size_t len;
};

static struct fixture open_fixture(const char *dialect, size_t message_bytes)
{
    struct fixture fixture = {
        .format =
            {
                .dialect = dialect_find(dialect),
                .user_prefix = "load",
                .message_bytes = message_bytes,
            },
    };
    assert_non_null(fixture.format.dialect);
    assert_true(message_sheet_init(&fixture.sender, &fixture.format, 6, 7));
    assert_true(message_sheet_init(&fixture.receiver, &fixture.format, 7, 6));
    uint8_t *out = malloc(message_max_bytes(&fixture.format, &fixture.sender));
    assert_non_null(out);
    fixture.len = message_write(&fixture.format, &fixture.sender, 17, 81234567890, out);
    assert_true(fixture.len < TEXT_MAX_BYTES);
    memcpy(fixture.text, out, fixture.len);
    free(out);
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    message_sheet_fini(&fixture->sender);
    message_sheet_fini(&fixture->receiver);
}

/* What is in `text` now has been delivered: in memory of its own, so that sanitizers see when it is
 * read beyond its end. */
static enum message_verdict check(const struct fixture *fixture, const char *text, size_t len,
                                  struct message_seen *seen)
{
    *seen = (struct message_seen){0};
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memcpy(bytes, text, len);
    enum message_verdict verdict =
        message_check(&fixture->format, &fixture->receiver, slice_of(bytes, len), seen);
    seen->code.data = NULL;
    free(bytes);
    return verdict;
}

static enum message_verdict check_string(const struct fixture *fixture, const char *text)
{
    struct message_seen seen;
    return check(fixture, text, strlen(text), &seen);
}

/* The message as a server delivers it that puts `first` behind the opening brace, and `last` before
 * the closing one. */
static size_t deliver(const struct fixture *fixture, const char *first, const char *last, char *out)
{
    return (size_t)snprintf(out, TEXT_MAX_BYTES, "{%s%.*s%s}", first, (int)fixture->len - 2,
                            fixture->text + 1, last);
}

static void test_text(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture("switchboard", 128);
    static const char begin[] = "{\"type\":\"call-candidate\",\"to\":\"load-7\",\"n\":17,"
                                "\"t\":81234567890,\"c\":\"";
    assert_int_equal(fixture.len, 128);
    assert_memory_equal(fixture.text, begin, sizeof begin - 1);
    assert_memory_equal(fixture.text + fixture.len - 4, "xx\"}", 4);
    close_fixture(&fixture);
}

static void test_every_size(void **state)
{
    (void)state;
    for (size_t bytes = 112; bytes < 600; bytes++) {
        struct fixture fixture = open_fixture("yardstick", bytes);
        struct message_seen seen;
        assert_int_equal(fixture.len, bytes);
        assert_int_equal(check(&fixture, fixture.text, fixture.len, &seen), MESSAGE_GOOD);
        assert_int_equal(seen.n, 17);
        assert_int_equal(seen.t_ns, 81234567890);
        close_fixture(&fixture);
    }
}

static void test_from_of_each_dialect(void **state)
{
    (void)state;
    static const struct {
        const char *dialect;
        enum message_verdict first, none, last;
    } rows[] = {
        {"switchboard", MESSAGE_GOOD, MESSAGE_WRONG_FROM, MESSAGE_ALTERED},
        {"yardstick", MESSAGE_ALTERED, MESSAGE_GOOD, MESSAGE_ALTERED},
        {"ws-map", MESSAGE_GOOD, MESSAGE_GOOD, MESSAGE_GOOD},
        {"uws", MESSAGE_GOOD, MESSAGE_GOOD, MESSAGE_GOOD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture fixture = open_fixture(rows[i].dialect, 150);
        struct message_seen seen;
        char text[TEXT_MAX_BYTES];
        size_t len = deliver(&fixture, "\"from\":\"load-6\",", "", text);
        assert_int_equal(check(&fixture, text, len, &seen), rows[i].first);
        len = deliver(&fixture, "", "", text);
        assert_int_equal(check(&fixture, text, len, &seen), rows[i].none);
        len = deliver(&fixture, "", ",\"from\":\"load-6\"", text);
        assert_int_equal(check(&fixture, text, len, &seen), rows[i].last);
        close_fixture(&fixture);
    }
}

static void test_wrong_from(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture("ws-map", 150);
    struct message_seen seen;
    char text[TEXT_MAX_BYTES];
    size_t len = deliver(&fixture, "\"from\":\"load-66\",", "", text);
    assert_int_equal(check(&fixture, text, len, &seen), MESSAGE_WRONG_FROM);
    len = deliver(&fixture, "", ",\"from\":\"load-7\"", text);
    assert_int_equal(check(&fixture, text, len, &seen), MESSAGE_WRONG_FROM);
    close_fixture(&fixture);
}

static void test_misrouted(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture("yardstick", 150);
    struct message_seen seen;
    message_sheet_fini(&fixture.receiver);
    assert_true(message_sheet_init(&fixture.receiver, &fixture.format, 8, 9));
    assert_int_equal(check(&fixture, fixture.text, fixture.len, &seen), MESSAGE_MISROUTED);
    close_fixture(&fixture);
}

/* No byte can be changed, none be missing, none be added, without being noticed. */
static void test_altered(void **state)
{
    (void)state;
    static const char *const dialects[] = {"switchboard", "yardstick", "ws-map", "peerjs"};
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        struct fixture fixture = open_fixture(dialects[i], 190);
        struct message_seen seen;
        char text[TEXT_MAX_BYTES];
        bool has_from = fixture.format.dialect->from == FROM_FIRST;
        size_t len = deliver(&fixture, has_from ? "\"from\":\"load-6\"," : "", "", text);
        assert_int_equal(check(&fixture, text, len, &seen), MESSAGE_GOOD);
        for (size_t at = 0; at < len; at++) {
            for (int bit = 0; bit < 7; bit++) {
                text[at] = (char)(text[at] ^ (1 << bit));
                assert_int_not_equal(check(&fixture, text, len, &seen), MESSAGE_GOOD);
                text[at] = (char)(text[at] ^ (1 << bit));
            }
            assert_int_not_equal(check(&fixture, text, at, &seen), MESSAGE_GOOD);
        }
        text[len] = ' ';
        assert_int_not_equal(check(&fixture, text, len + 1, &seen), MESSAGE_GOOD);
        close_fixture(&fixture);
    }
}

static void test_what_servers_say(void **state)
{
    (void)state;
    struct fixture fixture = open_fixture("switchboard", 150);
    assert_int_equal(check_string(&fixture, "{\"type\":\"error\",\"code\":\"overloaded\","
                                            "\"message\":\"a queue is full\",\"to\":\"load-6\"}"),
                     MESSAGE_ERROR);
    assert_int_equal(check_string(&fixture, "{\"type\":\"welcome\",\"userId\":\"load-7\"}"),
                     MESSAGE_UNCOUNTED);
    assert_int_equal(check_string(&fixture, ""), MESSAGE_ALTERED);
    close_fixture(&fixture);
    fixture = open_fixture("peerjs", 190);
    assert_int_equal(check_string(&fixture, "{\"type\":\"OPEN\"}"), MESSAGE_UNCOUNTED);
    assert_int_equal(check_string(&fixture, "{\"type\":\"EXPIRE\",\"src\":\"load-6\"}"),
                     MESSAGE_ERROR);
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_wrong_from),
        cmocka_unit_test(test_from_of_each_dialect),
        cmocka_unit_test(test_misrouted),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_what_servers_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
