/* The request head and what is made of it. Feeding any prefix must give the verdict of the whole or
 * none yet, all slices must lie inside the head, and what parses goes through the handshake and the
 * look-up of a file. */
#include "common/compiler.h"
#include "gateway/handshake.h"
#include "gateway/http_response.h"
#include "gateway/static_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Each prefix is a parse of its own, so only so many are tried. */
enum { PREFIXES_MAX = 512, RESPONSE_MAX_BYTES = 4096 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct static_files *files;

struct verdict {
    enum parse_result result;
    size_t head_bytes;
    struct http_request request;
    struct http_refusal refusal;
};

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct verdict parse(struct slice in)
{
    struct verdict verdict = {0};
    verdict.result =
        http_request_parse(in, &verdict.request, &verdict.head_bytes, &verdict.refusal);
    return verdict;
}

static void require_inside(struct slice head, struct slice part)
{
    require(part.len == 0 ||
            (part.data >= head.data && part.data + part.len <= head.data + head.len));
}

static void require_slices_inside(struct slice in, const struct verdict *verdict)
{
    require(verdict->head_bytes <= in.len);
    struct slice head = slice_of(in.data, verdict->head_bytes);
    require_inside(head, verdict->request.method);
    require_inside(head, verdict->request.path);
    require_inside(head, verdict->request.query);
    require(verdict->request.method.len > 0 && verdict->request.path.data[0] == '/');
    require(verdict->request.header_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < verdict->request.header_count; i++) {
        require_inside(head, verdict->request.headers[i].name);
        require_inside(head, verdict->request.headers[i].value);
    }
}

static void require_same_request(const struct http_request *a, const struct http_request *b)
{
    require(slice_equal(a->method, b->method) && slice_equal(a->path, b->path) &&
            slice_equal(a->query, b->query) && a->minor_version == b->minor_version &&
            a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++) {
        require(slice_equal(a->headers[i].name, b->headers[i].name) &&
                slice_equal(a->headers[i].value, b->headers[i].value));
    }
}

static void require_same_by_prefix(struct slice in, const struct verdict *whole)
{
    bool has_verdict = false;
    for (size_t len = 0; len <= in.len && len <= PREFIXES_MAX; len++) {
        struct verdict part = parse(slice_of(in.data, len));
        if (part.result == PARSE_NEED_MORE) {
            require(!has_verdict && (len < in.len || whole->result == PARSE_NEED_MORE));
            require(whole->result != PARSE_DONE || len < whole->head_bytes);
            continue;
        }
        has_verdict = true;
        require(part.result == whole->result && part.head_bytes == whole->head_bytes);
        if (part.result == PARSE_DONE) {
            require_same_request(&part.request, &whole->request);
        } else {
            require(part.refusal.status == whole->refusal.status &&
                    part.refusal.message == whole->refusal.message);
        }
    }
}

static void require_refusal(const struct http_refusal *refusal)
{
    struct buffer out;
    buffer_init(&out, RESPONSE_MAX_BYTES);
    require(refusal->status >= 400 && refusal->status < 500);
    http_response_put_refusal(&out, refusal);
    require(!out.failed);
    buffer_fini(&out);
}

static void try_handshake(const struct http_request *request)
{
    static const struct handshake_config configs[] = {
        {.allowed_origins = "", .requires_user_id = true},
        {.allowed_origins = "https://example.org,null", .requires_user_id = false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(configs); i++) {
        struct handshake handshake;
        struct http_refusal refusal = {0};
        if (!handshake_check(request, &configs[i], &handshake, &refusal)) {
            require_refusal(&refusal);
            continue;
        }
        require(handshake_is_upgrade(request));
        require(!configs[i].requires_user_id || handshake.user_id_len > 0);
        require(handshake.user_id_len <= USER_ID_MAX_BYTES);
        require(handshake.device_id_len <= DEVICE_ID_MAX_BYTES);
        struct buffer out;
        buffer_init(&out, RESPONSE_MAX_BYTES);
        handshake_put_response(&out, &handshake);
        require(!out.failed);
        buffer_fini(&out);
    }
}

static void try_static_files(const struct http_request *request)
{
    struct buffer out;
    struct slice body;
    buffer_init(&out, RESPONSE_MAX_BYTES);
    static_files_respond(files, request, &out, &body);
    require(!out.failed && buffer_len(&out) > 0);
    require(body.len == 0 || slice_equal_string(body, "hello"));
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct verdict whole = parse(in);
    require_same_by_prefix(in, &whole);
    if (whole.result == PARSE_BAD) {
        require_refusal(&whole.refusal);
    }
    if (whole.result == PARSE_DONE) {
        require_slices_inside(in, &whole);
        try_handshake(&whole.request);
        try_static_files(&whole.request);
    }
    return 0;
}

/* A directory with one file, read and removed again. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char directory[] = "/tmp/http_request_fuzz_XXXXXX";
    require(mkdtemp(directory) != NULL);
    char path[64];
    (void)snprintf(path, sizeof path, "%s/index.html", directory);
    FILE *file = fopen(path, "w");
    require(file != NULL && fputs("hello", file) >= 0 && fclose(file) == 0);
    files = static_files_load(directory);
    require(files != NULL && unlink(path) == 0 && rmdir(directory) == 0);
    return 0;
}
