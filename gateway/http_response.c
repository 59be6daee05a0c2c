#include "gateway/http_response.h"

#include <assert.h>

struct status_row {
    uint16_t status;
    const char *phrase;
    const char *refusal_headers; /* what a refusal with this status must say besides */
};

static const struct status_row status_rows[] = {
    {101, "Switching Protocols", ""},
    {200, "OK", ""},
    {304, "Not Modified", ""},
    {400, "Bad Request", ""},
    {403, "Forbidden", ""},
    {404, "Not Found", ""},
    {405, "Method Not Allowed", "Allow: GET, HEAD\r\n"},
    {408, "Request Timeout", ""},
    /* An Upgrade header must be named in a Connection header (RFC 9110, 7.8). */
    {426, "Upgrade Required",
     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
    {431, "Request Header Fields Too Large", ""},
    {500, "Internal Server Error", ""},
    {503, "Service Unavailable", "Retry-After: 1\r\n"},
};

static const char refusal_body_begin[] = "{\"error\":\"";
static const char refusal_body_end[] = "\"}";

static const struct status_row *find_status(uint16_t status)
{
    static const struct status_row unknown = {0, "Unknown", ""};
    for (size_t i = 0; i < ARRAY_LENGTH(status_rows); i++) {
        if (status_rows[i].status == status) {
            return &status_rows[i];
        }
    }
    return &unknown;
}

const char *http_status_phrase(uint16_t status)
{
    return find_status(status)->phrase;
}

void http_response_put_head(struct buffer *out, uint16_t status, const char *content_type,
                            size_t body_bytes, const char *extra_headers)
{
    buffer_put_format(out, "HTTP/1.1 %u %s\r\nConnection: close\r\n", status,
                      http_status_phrase(status));
    if (content_type != NULL) {
        buffer_put_format(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type,
                          body_bytes);
    }
    buffer_put_string(out, extra_headers);
    buffer_put_string(out, "\r\n");
}

void http_response_put_refusal_head(struct buffer *out, const struct http_refusal *refusal)
{
    size_t body_bytes =
        strlen(refusal_body_begin) + strlen(refusal->message) + strlen(refusal_body_end);
    http_response_put_head(out, refusal->status, "application/json", body_bytes,
                           find_status(refusal->status)->refusal_headers);
}

void http_response_put_refusal(struct buffer *out, const struct http_refusal *refusal)
{
    assert(strpbrk(refusal->message, "\"\\") == NULL);
    http_response_put_refusal_head(out, refusal);
    buffer_put_string(out, refusal_body_begin);
    buffer_put_string(out, refusal->message);
    buffer_put_string(out, refusal_body_end);
}
