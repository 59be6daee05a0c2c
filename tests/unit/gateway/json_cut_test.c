/* Any members but one are cut out of any object: what is left is an object, and has the others. */
#include "gateway/json_cut.h"

#include "common/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { MEMBERS_MAX = 6, TEXT_MAX_BYTES = 512 };

static size_t scan(struct slice text, struct json_member *members)
{
    struct json_scan scan;
    json_scan_init(&scan, text);
    size_t count = 0;
    enum json_step step = JSON_STEP_MEMBER;
    while (count < MEMBERS_MAX &&
           (step = json_scan_next(&scan, &members[count])) == JSON_STEP_MEMBER) {
        count++;
    }
    if (step == JSON_STEP_MEMBER) {
        struct json_member none;
        step = json_scan_next(&scan, &none);
    }
    if (step != JSON_STEP_END) {
        fail_msg("no object: %.*s", (int)text.len, (const char *)text.data);
    }
    return count;
}

/* The text without the pieces, which stand in it in order. */
static struct slice without(struct slice text, const struct slice *pieces, size_t count, char *left)
{
    size_t len = 0;
    const uint8_t *at = text.data;
    for (size_t i = 0; i < count; i++) {
        assert_true(pieces[i].len > 0 && pieces[i].data >= at);
        memcpy(left + len, at, (size_t)(pieces[i].data - at));
        len += (size_t)(pieces[i].data - at);
        at = pieces[i].data + pieces[i].len;
    }
    assert_true(at <= text.data + text.len);
    size_t rest = (size_t)(text.data + text.len - at);
    memcpy(left + len, at, rest);
    return slice_of(left, len + rest);
}

/* Cuts the members whose bit is set, given in one order and in the other. */
static void check(struct slice text, const struct json_member *members, size_t count,
                  unsigned chosen)
{
    for (int round = 0; round < 2; round++) {
        const struct json_member *cut[MEMBERS_MAX];
        struct slice pieces[MEMBERS_MAX];
        size_t cut_count = 0;
        for (size_t i = 0; i < count; i++) {
            size_t place = round == 0 ? i : count - 1 - i;
            if ((chosen & 1U << place) != 0) {
                cut[cut_count++] = &members[place];
            }
        }
        size_t piece_count = json_cut(text, cut, cut_count, pieces);
        assert_true(piece_count <= cut_count);
        char left[TEXT_MAX_BYTES];
        struct json_member after[MEMBERS_MAX];
        size_t after_count = scan(without(text, pieces, piece_count, left), after);
        size_t next = 0;
        for (size_t i = 0; i < count; i++) {
            if ((chosen & 1U << i) == 0) {
                assert_true(next < after_count);
                assert_true(slice_equal(members[i].key.raw, after[next].key.raw));
                assert_true(slice_equal(members[i].value, after[next].value));
                next++;
            }
        }
        assert_int_equal(next, after_count);
    }
}

static void any_members_of_any_object(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"a\":1}",
        "{\"a\":1,\"b\":2}",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6}",
        " {\n\"a\" : 1 , \"b\"\t:\t2\r\n,\"c\": 3 ,\"d\" :4, \"e\":5 , \"f\":6 } ",
        "{\"\":\"\",\"a\":\"\",\"b\":{},\"c\":[],\"d\":null,\"e\":-0}",
        "{\"a,\":\",\",\"b\":\"}\",\"c\":{\"x\":1,\"y\":[\",\"]},\"d\":[1,2,{\"z\":\"\\\"\"}]}",
        "{\"a\\\"\":\"\\\\\",\"a\":\"\\\",\",\"a\":1,\"a\":{\"a\":2}}",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        size_t len = strlen(texts[i]);
        char *copy = malloc(len); /* so that ASan sees a read beyond */
        assert_non_null(copy);
        memcpy(copy, texts[i], len);
        struct json_member members[MEMBERS_MAX];
        size_t count = scan(slice_of(copy, len), members);
        for (unsigned chosen = 0; chosen + 1 < 1U << count; chosen++) {
            check(slice_of(copy, len), members, count, chosen);
        }
        free(copy);
    }
}

static void the_comma_behind_goes_before_the_one_in_front(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned chosen;
        const char *left;
    } rows[] = {
        {"{\"a\":1,\"b\":2,\"c\":3}", 0, "{\"a\":1,\"b\":2,\"c\":3}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", 1, "{\"b\":2,\"c\":3}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", 2, "{\"a\":1,\"c\":3}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", 4, "{\"a\":1,\"b\":2}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", 6, "{\"a\":1}"},
        {"{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", 2, "{ \"a\" : 1 ,  \"c\" : 3 }"},
        {"{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", 3, "{  \"c\" : 3 }"},
        {"{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", 5, "{  \"b\" : 2  }"},
        {"{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", 6, "{ \"a\" : 1  }"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct slice text = slice_from_string(rows[i].text);
        struct json_member members[MEMBERS_MAX];
        const struct json_member *cut[MEMBERS_MAX];
        struct slice pieces[MEMBERS_MAX];
        size_t count = scan(text, members);
        size_t cut_count = 0;
        for (size_t j = 0; j < count; j++) {
            if ((rows[i].chosen & 1U << j) != 0) {
                cut[cut_count++] = &members[j];
            }
        }
        char left[TEXT_MAX_BYTES];
        size_t piece_count = json_cut(text, cut, cut_count, pieces);
        struct slice rest = without(text, pieces, piece_count, left);
        if (!slice_equal_string(rest, rows[i].left)) {
            fail_msg("%s became %.*s", rows[i].text, (int)rest.len, (const char *)rest.data);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_members_of_any_object),
        cmocka_unit_test(the_comma_behind_goes_before_the_one_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
