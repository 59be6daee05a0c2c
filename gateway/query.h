/* The query part of a request target: names and percent-encoded values (RFC 3986, 2.1 and 3.4).
 * A `+` is a plus. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

enum query_result {
    QUERY_FOUND,
    QUERY_ABSENT,
    QUERY_DOUBLED,  /* the name occurs twice */
    QUERY_BAD_CODE, /* a % without two hex digits, in the value or in any name */
    QUERY_TOO_LONG, /* more than out_max_bytes when decoded */
};

/* Percent-decodes the whole of `text` into `out`: QUERY_FOUND, QUERY_BAD_CODE or QUERY_TOO_LONG. */
enum query_result query_decode(struct slice text, uint8_t *out, size_t out_max_bytes,
                               size_t *out_len);

/* Finds `name` in `query` (names are compared when decoded) and decodes its value into `out`;
 * *out_len bytes are written. */
enum query_result query_get(struct slice query, const char *name, uint8_t *out,
                            size_t out_max_bytes, size_t *out_len);
