/* Response heads and small bodies. Every response but a 101 ends its connection
 * (`Connection: close`). */
#pragma once

#include "common/buffer.h"
#include "gateway/http_request.h"

/* The reason phrase of a status (RFC 9110, 15), e.g. "Bad Request". Never NULL. */
const char *http_status_phrase(uint16_t status);

/* The whole response to a refused request: JSON body {"error":"..."}; with the headers its status
 * asks for (405 Allow: GET, HEAD; 426 Upgrade and Sec-WebSocket-Version: 13; 503 Retry-After: 1).
 */
void http_response_put_refusal(struct buffer *out, const struct http_refusal *refusal);

/* The same without the body: the answer to a HEAD. */
void http_response_put_refusal_head(struct buffer *out, const struct http_refusal *refusal);

/* The head of a response whose body of `body_bytes` follows. `extra_headers` are whole lines with
 * CRLF, or "". content_type NULL: a response without a body (304), and without its length. */
void http_response_put_head(struct buffer *out, uint16_t status, const char *content_type,
                            size_t body_bytes, const char *extra_headers);
