#include "tests/load/call_script.h"

#include "common/call_type.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>

static const struct step {
    enum call_type type;
    bool is_callers;
} steps[CALL_STEPS] = {
    {CALL_TYPE_START, true},      {CALL_TYPE_RINGING, false},   {CALL_TYPE_ACCEPT, false},
    {CALL_TYPE_OFFER, true},      {CALL_TYPE_ANSWER, false},    {CALL_TYPE_CANDIDATE, true},
    {CALL_TYPE_CANDIDATE, false}, {CALL_TYPE_CANDIDATE, true},  {CALL_TYPE_CANDIDATE, false},
    {CALL_TYPE_CANDIDATE, true},  {CALL_TYPE_CANDIDATE, false}, {CALL_TYPE_CANDIDATE, true},
    {CALL_TYPE_CANDIDATE, false}, {CALL_TYPE_CANDIDATE, true},  {CALL_TYPE_CANDIDATE, false},
    {CALL_TYPE_END, true},
};

static const char tail[] = "\"}";

#define RUN_MASK UINT64_C(0xffffffffffff) /* the last group of a UUID */

bool call_script_is_callers(unsigned step)
{
    assert(step < CALL_STEPS);
    return steps[step].is_callers;
}

/* From `"type"` on. */
static void put_members(struct buffer *out, const struct call_script *script,
                        const struct call_line *line)
{
    buffer_put_format(out,
                      "\"type\":\"%s\",\"to\":\"%s\",\"id\":%u,\"call%s\":"
                      "\"%08" PRIx64 "-0000-4000-8000-%012" PRIx64 "\",\"data\":\"",
                      call_type_name(steps[line->step].type), line->receiver, line->step,
                      script->is_managed ? "Id" : "No", line->number, script->run & RUN_MASK);
}

/* Fills up to `bytes` in all. */
static void put_data(struct buffer *out, size_t bytes)
{
    while (!out->failed && buffer_len(out) + strlen(tail) < bytes) {
        buffer_put_u8(out, 'x');
    }
    buffer_put_string(out, tail);
}

void call_script_put(struct buffer *out, const struct call_script *script,
                     const struct call_line *line)
{
    size_t before = buffer_len(out);
    buffer_put_u8(out, '{');
    put_members(out, script, line);
    put_data(out, before + script->message_bytes);
}

/* Cuts `{"expiresInMs":N,` down to `{`: N differs from one time to the next. False: it is not
 * there. */
static bool skip_expiry(struct slice *text)
{
    static const char key[] = "{\"expiresInMs\":";
    size_t at = strlen(key);
    if (text->len < at || memcmp(text->data, key, at) != 0) {
        return false;
    }
    while (at < text->len && isdigit(text->data[at]) != 0) {
        at++;
    }
    if (at == strlen(key) || at == text->len || text->data[at] != ',') {
        return false;
    }
    *text = slice_drop(*text, at + 1);
    return true;
}

bool call_script_check(const struct call_script *script, const struct call_line *line,
                       struct slice text, struct buffer *scratch)
{
    bool expires = script->is_managed && steps[line->step].type == CALL_TYPE_START;
    if (expires ? !skip_expiry(&text) : text.len == 0 || text.data[0] != '{') {
        return false;
    }
    if (!expires) {
        text = slice_drop(text, 1);
    }
    buffer_clear(scratch);
    buffer_put_format(scratch, "\"from\":\"%s\",", line->sender);
    if (script->is_managed) {
        buffer_put_string(scratch, "\"fromDevice\":\"\",");
    }
    /* The brace in front of the members is gone. */
    size_t words = buffer_len(scratch);
    put_members(scratch, script, line);
    put_data(scratch, words + script->message_bytes - 1);
    if (scratch->failed) {
        return false;
    }
    struct slice expected = buffer_slice(scratch);
    assert(expected.data != NULL);
    return slice_equal(text, expected);
}
