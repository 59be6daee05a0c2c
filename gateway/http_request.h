/* A request head (RFC 9112), parsed strictly and without memory of its own: CRLF only, no folded
 * lines, no space before a colon, token characters in names, no control characters in values. */
#pragma once

#include "common/compiler.h"
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

/* Why a request is refused: a status and a sentence (static; without quotes and backslashes, since
 * it becomes a JSON string as it is). */
struct http_refusal {
    uint16_t status;
    const char *message;
};

/* PARSE_DONE: *head_bytes were the head; slices point into `in`.
 * PARSE_BAD: *refusal says why (400, or 431 for too many headers). A bad head is refused as soon as
 * its first bad byte is there, not when it is complete. */
enum parse_result http_request_parse(struct slice in, struct http_request *request,
                                     size_t *head_bytes, struct http_refusal *refusal);

/* What every request that we answer must be: HTTP/1.1 with exactly one Host (RFC 9112, 3.2), a GET
 * or, where the caller `takes_head`, a HEAD, and without a body. False: *refusal says why (400 or
 * 405). */
MUST_CHECK bool http_request_check(const struct http_request *request, bool takes_head,
                                   struct http_refusal *refusal);

/* How often the header occurs; *value is its first value (untouched if there is none). `name` in
 * lower case. */
size_t http_request_find_header(const struct http_request *request, const char *name,
                                struct slice *value);

/* Takes the next item off a comma-separated list, without the white space around it; it may be
 * empty. False: nothing is left. */
MUST_CHECK bool http_list_take(struct slice *list, struct slice *item);

/* True: the header's comma-separated list (over all its lines) has `token`, ASCII case ignored
 * (RFC 9110, 5.6.1). Both names in lower case. */
bool http_request_header_has_token(const struct http_request *request, const char *name,
                                   const char *token);
