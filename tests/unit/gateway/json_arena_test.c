/* The arena under cJSON: used again after a reset, never beyond its end, gone after fini. */
#include "gateway/json_arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdalign.h>
#include <string.h>

static int set_up(void **state)
{
    (void)state;
    return json_arena_init() ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_arena_fini();
    return 0;
}

static void used_again_after_reset(void **state)
{
    (void)state;
    const void *first = cJSON_malloc(100);
    assert_non_null(first);
    assert_ptr_not_equal(cJSON_malloc(100), first);
    json_arena_reset();
    assert_ptr_equal(cJSON_malloc(100), first);
}

static void aligned_and_apart(void **state)
{
    (void)state;
    const uint8_t *end = NULL;
    for (size_t bytes = 1; bytes < 40; bytes++) {
        uint8_t *taken = cJSON_malloc(bytes);
        assert_non_null(taken);
        assert_int_equal((uintptr_t)taken % alignof(max_align_t), 0);
        assert_true(end == NULL || taken >= end);
        memset(taken, 0xff, bytes);
        end = taken + bytes;
    }
}

static void ends(void **state)
{
    (void)state;
    json_arena_reset();
    assert_null(cJSON_malloc(JSON_ARENA_BYTES + 1));
    assert_null(cJSON_malloc(SIZE_MAX));
    uint8_t *all = cJSON_malloc(JSON_ARENA_BYTES);
    assert_non_null(all);
    memset(all, 0xff, JSON_ARENA_BYTES);
    assert_null(cJSON_malloc(1));
    json_arena_reset();
    assert_non_null(cJSON_malloc(JSON_ARENA_BYTES - 1));
    assert_null(cJSON_malloc(1));
}

static void parses_until_it_is_full(void **state)
{
    (void)state;
    json_arena_reset();
    char text[JSON_ARENA_BYTES];
    memset(text, 'x', sizeof text);
    text[0] = '"';
    text[sizeof text - 1] = '"';
    assert_null(cJSON_ParseWithLength(text, sizeof text));
    json_arena_reset();
    const cJSON *item = cJSON_ParseWithLength("\"\\u0041\"", 8);
    assert_non_null(item);
    assert_string_equal(item->valuestring, "A");
}

/* The sanitizer would complain about memory from elsewhere. */
static void gone_after_fini(void **state)
{
    (void)state;
    json_arena_fini();
    json_arena_fini();
    cJSON *item = cJSON_Parse("[1,2]");
    assert_non_null(item);
    assert_int_equal(cJSON_GetArraySize(item), 2);
    cJSON_Delete(item);
    void *big = cJSON_malloc((size_t)JSON_ARENA_BYTES * 2);
    assert_non_null(big);
    cJSON_free(big);
    assert_true(json_arena_init());
    assert_null(cJSON_malloc((size_t)JSON_ARENA_BYTES * 2));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(used_again_after_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aligned_and_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parses_until_it_is_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gone_after_fini, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
