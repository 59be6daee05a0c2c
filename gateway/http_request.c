#include "gateway/http_request.h"

enum {
    BAD_REQUEST = 400,
    METHOD_NOT_ALLOWED = 405,
    HEADERS_TOO_LARGE = 431,
};

/* Where the parser is. Every step answers PARSE_DONE when it is through, and only then moves on. */
struct cursor {
    struct slice in;
    size_t pos;
    struct http_refusal *refusal;
};

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110, 5.6.2. */
static bool is_token_byte(uint8_t c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Visible ASCII without the fragment, which is never sent. Wider than RFC 3986, since browsers
 * leave a few characters as they are. */
static bool is_target_byte(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '#';
}

static bool is_white_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9110, 5.5. */
static bool is_value_byte(uint8_t c)
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

/* A name or an address literal, and a port (RFC 3986, 3.2). */
static bool is_host_byte(uint8_t c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("-._~%!$&'()*+,;=:[]", c) != NULL);
}

static bool refuse(struct http_refusal *refusal, uint16_t status, const char *message)
{
    *refusal = (struct http_refusal){status, message};
    return false;
}

static enum parse_result bad(struct cursor *cursor, uint16_t status, const char *message)
{
    (void)refuse(cursor->refusal, status, message);
    return PARSE_BAD;
}

static bool is_at_end(const struct cursor *cursor)
{
    return cursor->pos == cursor->in.len;
}

static uint8_t peek(const struct cursor *cursor)
{
    return cursor->in.data[cursor->pos];
}

static struct slice take_while(struct cursor *cursor, bool (*belongs)(uint8_t c))
{
    struct slice taken = slice_drop(cursor->in, cursor->pos);
    taken.len = 0;
    while (!is_at_end(cursor) && belongs(peek(cursor))) {
        cursor->pos++;
        taken.len++;
    }
    return taken;
}

static enum parse_result expect(struct cursor *cursor, const char *literal, const char *complaint)
{
    for (; *literal != '\0'; literal++) {
        if (is_at_end(cursor)) {
            return PARSE_NEED_MORE;
        }
        if (peek(cursor) != (uint8_t)*literal) {
            return bad(cursor, BAD_REQUEST, complaint);
        }
        cursor->pos++;
    }
    return PARSE_DONE;
}

static enum parse_result parse_method(struct cursor *cursor, struct http_request *request)
{
    static const char complaint[] = "the request line must begin with a method and one space";
    request->method = take_while(cursor, is_token_byte);
    if (request->method.len == 0 && !is_at_end(cursor)) {
        return bad(cursor, BAD_REQUEST, complaint);
    }
    return expect(cursor, " ", complaint);
}

static enum parse_result parse_target(struct cursor *cursor, struct http_request *request)
{
    if (!is_at_end(cursor) && peek(cursor) != '/') {
        return bad(cursor, BAD_REQUEST,
                   "the request target must be a path that begins with a slash, not an absolute "
                   "URL, an authority or an asterisk");
    }
    struct slice target = take_while(cursor, is_target_byte);
    enum parse_result result =
        expect(cursor, " ",
               "the request target must be visible ASCII, with one space and HTTP/1.1 behind");
    if (result != PARSE_DONE) {
        return result;
    }
    const uint8_t *mark = memchr(target.data, '?', target.len);
    size_t path_bytes = mark == NULL ? target.len : (size_t)(mark - target.data);
    request->path = slice_of(target.data, path_bytes);
    request->query = slice_drop(target, mark == NULL ? target.len : path_bytes + 1);
    return PARSE_DONE;
}

static enum parse_result parse_version(struct cursor *cursor, struct http_request *request)
{
    static const char complaint[] = "the request line must end with HTTP/1.1";
    enum parse_result result = expect(cursor, "HTTP/1.", complaint);
    if (result != PARSE_DONE) {
        return result;
    }
    if (is_at_end(cursor)) {
        return PARSE_NEED_MORE;
    }
    uint8_t digit = peek(cursor);
    if (digit != '0' && digit != '1') {
        return bad(cursor, BAD_REQUEST, complaint);
    }
    request->minor_version = (uint8_t)(digit - '0');
    cursor->pos++;
    return expect(cursor, "\r\n", "the request line must end with CR LF");
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_white_space(text.data[0])) {
        text = slice_drop(text, 1);
    }
    while (text.len > 0 && is_white_space(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

static enum parse_result parse_header_name(struct cursor *cursor, struct http_header *header)
{
    if (!is_at_end(cursor) && is_white_space(peek(cursor))) {
        return bad(cursor, BAD_REQUEST, "a header line must not begin with white space");
    }
    header->name = take_while(cursor, is_token_byte);
    if (header->name.len == 0 && !is_at_end(cursor)) {
        return bad(cursor, BAD_REQUEST, "a header line must begin with a name");
    }
    return expect(cursor, ":", "a header name must be a token with a colon right behind it");
}

static enum parse_result parse_header(struct cursor *cursor, struct http_request *request)
{
    if (request->header_count == HTTP_HEADERS_MAX && is_token_byte(peek(cursor))) {
        return bad(cursor, HEADERS_TOO_LARGE, "the request has more than 64 headers");
    }
    struct http_header header;
    enum parse_result result = parse_header_name(cursor, &header);
    if (result != PARSE_DONE) {
        return result;
    }
    header.value = trim(take_while(cursor, is_value_byte));
    result =
        expect(cursor, "\r\n", "a header line must end with CR LF and hold no control characters");
    if (result == PARSE_DONE) {
        request->headers[request->header_count++] = header;
    }
    return result;
}

static enum parse_result parse_headers(struct cursor *cursor, struct http_request *request)
{
    while (!is_at_end(cursor) && peek(cursor) != '\r') {
        enum parse_result result = parse_header(cursor, request);
        if (result != PARSE_DONE) {
            return result;
        }
    }
    return expect(cursor, "\r\n", "the request head must end with CR LF");
}

enum parse_result http_request_parse(struct slice in, struct http_request *request,
                                     size_t *head_bytes, struct http_refusal *refusal)
{
    static enum parse_result (*const steps[])(struct cursor *, struct http_request *) = {
        parse_method, parse_target, parse_version, parse_headers};
    struct cursor cursor = {.in = in, .refusal = refusal};
    request->header_count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
        enum parse_result result = steps[i](&cursor, request);
        if (result != PARSE_DONE) {
            return result;
        }
    }
    *head_bytes = cursor.pos;
    return PARSE_DONE;
}

size_t http_request_find_header(const struct http_request *request, const char *name,
                                struct slice *value)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_equal_nocase(request->headers[i].name, name)) {
            if (count == 0) {
                *value = request->headers[i].value;
            }
            count++;
        }
    }
    return count;
}

bool http_list_take(struct slice *list, struct slice *item)
{
    if (list->len == 0) {
        return false;
    }
    const uint8_t *comma = memchr(list->data, ',', list->len);
    size_t item_bytes = comma == NULL ? list->len : (size_t)(comma - list->data);
    *item = trim(slice_of(list->data, item_bytes));
    *list = slice_drop(*list, comma == NULL ? item_bytes : item_bytes + 1);
    return true;
}

bool http_request_header_has_token(const struct http_request *request, const char *name,
                                   const char *token)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (!slice_equal_nocase(request->headers[i].name, name)) {
            continue;
        }
        struct slice list = request->headers[i].value;
        struct slice item;
        while (http_list_take(&list, &item)) {
            if (slice_equal_nocase(item, token)) {
                return true;
            }
        }
    }
    return false;
}

static bool check_host(const struct http_request *request, struct http_refusal *refusal)
{
    struct slice host;
    if (http_request_find_header(request, "host", &host) != 1) {
        return refuse(refusal, BAD_REQUEST, "exactly one Host header is required");
    }
    struct cursor cursor = {.in = host};
    if (host.len == 0 || take_while(&cursor, is_host_byte).len != host.len) {
        return refuse(refusal, BAD_REQUEST, "the Host header must be a host name and a port");
    }
    return true;
}

/* Whatever follows the head would be read as something else than its sender meant. */
static bool check_no_body(const struct http_request *request, struct http_refusal *refusal)
{
    struct slice value;
    if (http_request_find_header(request, "transfer-encoding", &value) > 0) {
        return refuse(refusal, BAD_REQUEST, "a request with a body is not accepted");
    }
    size_t count = http_request_find_header(request, "content-length", &value);
    if (count > 1) {
        return refuse(refusal, BAD_REQUEST, "the Content-Length header is there twice");
    }
    if (count == 1 && !slice_equal_string(value, "0")) {
        return refuse(refusal, BAD_REQUEST, "a request with a body is not accepted");
    }
    return true;
}

bool http_request_check(const struct http_request *request, bool takes_head,
                        struct http_refusal *refusal)
{
    if (request->minor_version != 1) {
        return refuse(refusal, BAD_REQUEST, "HTTP/1.1 is required");
    }
    if (!check_host(request, refusal)) {
        return false;
    }
    bool is_head = takes_head && slice_equal_string(request->method, "HEAD");
    if (!is_head && !slice_equal_string(request->method, "GET")) {
        return refuse(refusal, METHOD_NOT_ALLOWED, "the method is not allowed here");
    }
    return check_no_body(request, refusal);
}
