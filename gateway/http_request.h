/* A request head (RFC 9112), parsed strictly and without memory of its own: CRLF only, no folded
 * lines, no space before a colon, token characters in names, no control characters in values. */
#pragma once

#include "common/parse.h"
#include "common/slice.h"

enum { HTTP_HEADERS_MAX = 64 };

struct http_header {
    struct slice name;  /* as sent; compare without case */
    struct slice value; /* without the white space around it */
};

struct http_request {
    struct slice method;
    struct slice path;  /* origin-form up to `?`, percent-encoding left as it is; begins with / */
    struct slice query; /* behind the first `?`; empty if there is none */
    uint8_t minor_version; /* 0 or 1 of HTTP/1.x */
    size_t header_count;
    struct http_header headers[HTTP_HEADERS_MAX];
};

/* Why a request is refused: a status and a sentence, static strings both. */
struct http_refusal {
    uint16_t status;
    const char *message;
};

/* PARSE_DONE: *head_bytes were the head; slices point into `in`.
 * PARSE_BAD: *refusal says why (400, or 431 for too many headers). A bad head is refused as soon as
 * its first bad byte is there, not when it is complete. */
enum parse_result http_request_parse(struct slice in, struct http_request *request,
                                     size_t *head_bytes, struct http_refusal *refusal);

/* How often the header occurs; *value is its first value (untouched if there is none). `name` in
 * lower case. */
size_t http_request_find_header(const struct http_request *request, const char *name,
                                struct slice *value);

/* True: the header's comma-separated list (over all its lines) has `token`, ASCII case ignored
 * (RFC 9110, 5.6.1). Both names in lower case. */
bool http_request_header_has_token(const struct http_request *request, const char *name,
                                   const char *token);
