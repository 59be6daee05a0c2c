/* Strings as JSON writes them (RFC 8259, 7). */
#pragma once

#include "common/buffer.h"

/* Appends `text` (valid UTF-8) as a JSON string with its quotes (RFC 8259, 7). */
void json_put_string(struct buffer *out, struct slice text);
