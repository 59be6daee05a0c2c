/* Names and values in a query, in every spelling. */
#include "gateway/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { VALUE_MAX_BYTES = 8 };

struct get_row {
    const char *query;
    enum query_result result;
    const char *value;
};

static const struct get_row rows[] = {
    {"", QUERY_ABSENT, NULL},
    {"&", QUERY_ABSENT, NULL},
    {"=", QUERY_ABSENT, NULL},
    {"other=x", QUERY_ABSENT, NULL},
    {"nam=x", QUERY_ABSENT, NULL},
    {"names=x", QUERY_ABSENT, NULL},
    {"Name=x", QUERY_ABSENT, NULL},
    {"name%00=x", QUERY_ABSENT, NULL},
    {"other=name", QUERY_ABSENT, NULL},
    {"a=b;name=x", QUERY_ABSENT, NULL},
    {"name", QUERY_FOUND, ""},
    {"name=", QUERY_FOUND, ""},
    {"name=x", QUERY_FOUND, "x"},
    {"name=12345678", QUERY_FOUND, "12345678"},
    {"name=%31%32345678", QUERY_FOUND, "12345678"},
    {"&&name=x&&", QUERY_FOUND, "x"},
    {"a=b&name=x&c=d", QUERY_FOUND, "x"},
    {"n%61m%65=x", QUERY_FOUND, "x"},
    {"name=a+b%2Bc", QUERY_FOUND, "a+b+c"},
    {"name=a%20b%26c", QUERY_FOUND, "a b&c"},
    {"name=%c3%A9", QUERY_FOUND, "\xc3\xa9"},
    {"name=%2541", QUERY_FOUND, "%41"},
    {"name=a=b=", QUERY_FOUND, "a=b="},
    {"name=a?/b", QUERY_FOUND, "a?/b"},
    {"name=x&other=%zz", QUERY_FOUND, "x"},
    {"name=123456789", QUERY_TOO_LONG, NULL},
    {"name=12345678%39", QUERY_TOO_LONG, NULL},
    {"name=x&name=x", QUERY_DOUBLED, NULL},
    {"name=x&a=b&n%61me=y", QUERY_DOUBLED, NULL},
    {"name&name", QUERY_DOUBLED, NULL},
    {"name=%zz&name=x", QUERY_DOUBLED, NULL},
    {"name=%", QUERY_BAD_CODE, NULL},
    {"name=%4", QUERY_BAD_CODE, NULL},
    {"name=%4&a=b", QUERY_BAD_CODE, NULL},
    {"name=%zz", QUERY_BAD_CODE, NULL},
    {"name=%4g", QUERY_BAD_CODE, NULL},
    {"name=%g4", QUERY_BAD_CODE, NULL},
    {"name=%%41", QUERY_BAD_CODE, NULL},
    {"name=% 1", QUERY_BAD_CODE, NULL},
    {"name=%-1", QUERY_BAD_CODE, NULL},
    {"name=%4\xc1", QUERY_BAD_CODE, NULL},
    {"%zz=1&name=x", QUERY_BAD_CODE, NULL},
    {"name=x&a%=1", QUERY_BAD_CODE, NULL},
};

static void gets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        /* At the very end of an allocation, so that a sanitizer sees a byte read beyond it. */
        size_t query_len = strlen(rows[i].query);
        uint8_t *query = malloc(query_len + 1);
        assert_non_null(query);
        memcpy(query + 1, rows[i].query, query_len);
        uint8_t value[VALUE_MAX_BYTES];
        size_t len = 0;
        enum query_result result =
            query_get(slice_of(query + 1, query_len), "name", value, sizeof value, &len);
        if (result != rows[i].result) {
            fail_msg("%s: %d, not %d", rows[i].query, (int)result, (int)rows[i].result);
        }
        if (result == QUERY_FOUND && !slice_equal_string(slice_of(value, len), rows[i].value)) {
            fail_msg("%s: %.*s", rows[i].query, (int)len, (const char *)value);
        }
        free(query);
    }
}

static void every_code(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[16];
        uint8_t value[1];
        size_t len = 0;
        (void)snprintf(text, sizeof text, "%%%02x", c);
        assert_int_equal(query_decode(slice_from_string(text), value, sizeof value, &len),
                         QUERY_FOUND);
        assert_int_equal(len, 1);
        assert_int_equal(value[0], c);
        (void)snprintf(text, sizeof text, "%%%02X", c);
        assert_int_equal(query_decode(slice_from_string(text), value, sizeof value, &len),
                         QUERY_FOUND);
        assert_int_equal(value[0], c);
    }
}

static void nothing(void **state)
{
    (void)state;
    uint8_t value[1];
    size_t len = 9;
    assert_int_equal(query_get(slice_of(NULL, 0), "name", value, 1, &len), QUERY_ABSENT);
    assert_int_equal(query_decode(slice_of(NULL, 0), value, 1, &len), QUERY_FOUND);
    assert_int_equal(len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets),
        cmocka_unit_test(every_code),
        cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
