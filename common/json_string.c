#include "common/json_string.h"

/* NULL: a character without a short escape. */
static const char *short_escape(uint8_t byte)
{
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

/* How many bytes at the front of `text` stand for themselves in a JSON string. */
static size_t plain_prefix_bytes(struct slice text)
{
    size_t count = 0;
    while (count < text.len && text.data[count] >= 0x20 && text.data[count] != '"' &&
           text.data[count] != '\\') {
        count++;
    }
    return count;
}

void json_put_string(struct buffer *out, struct slice text)
{
    buffer_put_u8(out, '"');
    while (text.len > 0) {
        size_t plain = plain_prefix_bytes(text);
        buffer_put(out, slice_of(text.data, plain));
        text = slice_drop(text, plain);
        if (text.len == 0) {
            break;
        }
        const char *escape = short_escape(text.data[0]);
        if (escape != NULL) {
            buffer_put_string(out, escape);
        } else {
            buffer_put_format(out, "\\u%04x", (unsigned)text.data[0]);
        }
        text = slice_drop(text, 1);
    }
    buffer_put_u8(out, '"');
}
